/* Polynomials and constants of the vector mathematics, constant terms first.
 *
 * Written by docs/fit_constants.py; do not edit.  R_() gives a literal the type
 * `real`, so this file comes after simd.h's own definitions.
 */
#ifndef FASTNN_CONSTANTS_H
#define FASTNN_CONSTANTS_H

#ifdef FASTNN_DOUBLE
/* exp(r) = 1 + r + r^2 p(r), relative error 2.2e-17 (0.20 ULP at most). */
#define EXP_DEGREE 9
static const real EXP_POLYNOMIAL[] = {
    R_(5.000000000000006e-01),
    R_(1.666666666666659e-01),
    R_(4.166666666657634e-02),
    R_(8.333333333389342e-03),
    R_(1.3888888931570542e-03),
    R_(1.984126971918857e-04),
    R_(2.4801505267630583e-05),
    R_(2.7557407353155217e-06),
    R_(2.762604012446598e-07),
    R_(2.505383817089848e-08),
};
/* log(1+f) = f - f^2/2 + f^3 p(f), relative error 9.7e-18 (0.09 ULP at most). */
#define LOG_DEGREE 18
static const real LOG_POLYNOMIAL[] = {
    R_(3.333333333333314e-01),
    R_(-2.499999999998798e-01),
    R_(2.0000000000066598e-01),
    R_(-1.6666666669825372e-01),
    R_(1.42857142800804e-01),
    R_(-1.2499999691465838e-01),
    R_(1.1111111148679108e-01),
    R_(-1.0000015206544259e-01),
    R_(9.090923884281574e-02),
    R_(-8.332913484818952e-02),
    R_(7.691530798856407e-02),
    R_(-7.149441376612031e-02),
    R_(6.684578326070256e-02),
    R_(-6.1966498301223014e-02),
    R_(5.668432206688605e-02),
    R_(-5.677997059742448e-02),
    R_(6.503465653016093e-02),
    R_(-5.981079988830927e-02),
    R_(2.6145584101124792e-02),
};
/* Phi(-a) exp(a^2/2) (a+4) = p((a-4)/(a+4)), relative error 4.0e-17 (0.36 ULP at most). */
#define MILLS_DEGREE 23
static const real MILLS_POLYNOMIAL[] = {
    R_(7.552851304157515e-01),
    R_(-6.078966419718921e-01),
    R_(3.8713740074221487e-01),
    R_(-1.8652185795965884e-01),
    R_(6.039657489091715e-02),
    R_(-7.540188966677752e-03),
    R_(-3.479692366964473e-03),
    R_(1.6308184568940409e-03),
    R_(1.333443075109315e-04),
    R_(-2.3109493000454773e-04),
    R_(-1.9082256182776614e-06),
    R_(3.5144664631725775e-05),
    R_(7.16527865702016e-07),
    R_(-5.920125833802684e-06),
    R_(-6.29319190567304e-07),
    R_(1.0215176499891105e-06),
    R_(2.7113941171485135e-07),
    R_(-1.5503440881451107e-07),
    R_(-8.467619710863675e-08),
    R_(1.347842299733593e-08),
    R_(1.916175561791147e-08),
    R_(1.7320111603991602e-09),
    R_(-2.3979404124803417e-09),
    R_(-6.616174590235176e-10),
};
#define LOG2_HIGH R_(6.931471805598903e-01)
#define LOG2_LOW R_(5.497923018708371e-14)
#define GELU_LINEAR_HIGH R_(1.5957691216057308e+00)
#define GELU_LINEAR_LOW R_(-9.96930880911092e-17)
#define GELU_CUBIC_HIGH R_(7.135481627260025e-02)
#define GELU_CUBIC_LOW R_(-6.175149918155315e-19)
#else
/* exp(r) = 1 + r + r^2 p(r), relative error 1.4e-08 (0.24 ULP at most). */
#define EXP_DEGREE 4
static const real EXP_POLYNOMIAL[] = {
    R_(4.9999997e-01),
    R_(1.6666543e-01),
    R_(4.1667346e-02),
    R_(8.366642e-03),
    R_(1.3882712e-03),
};
/* log(1+f) = f - f^2/2 + f^3 p(f), relative error 5.9e-09 (0.10 ULP at most). */
#define LOG_DEGREE 7
static const real LOG_POLYNOMIAL[] = {
    R_(3.333333e-01),
    R_(-2.500082e-01),
    R_(2.000123e-01),
    R_(-1.662338e-01),
    R_(1.4201762e-01),
    R_(-1.3160183e-01),
    R_(1.276198e-01),
    R_(-7.63514e-02),
};
/* Phi(-a) exp(a^2/2) (a+4) = p((a-4)/(a+4)), relative error 2.2e-08 (0.37 ULP at most). */
#define MILLS_DEGREE 9
static const real MILLS_POLYNOMIAL[] = {
    R_(7.5528514e-01),
    R_(-6.0789657e-01),
    R_(3.8713688e-01),
    R_(-1.865237e-01),
    R_(6.0403466e-02),
    R_(-7.5240065e-03),
    R_(-3.5102232e-03),
    R_(1.5683977e-03),
    R_(1.7466675e-04),
    R_(-1.3418918e-04),
};
#define LOG2_HIGH R_(6.9314575e-01)
#define LOG2_LOW R_(1.4286068e-06)
#define GELU_LINEAR_HIGH R_(1.5957692e+00)
#define GELU_LINEAR_LOW R_(-4.534068e-08)
#define GELU_CUBIC_HIGH R_(7.1354814e-02)
#define GELU_CUBIC_LOW R_(2.3988325e-09)
#endif

#endif
