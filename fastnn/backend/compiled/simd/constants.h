/* Polynomials and constants of the vector mathematics, constant terms first.
 *
 * Written by docs/fit_constants.py; do not edit.  R_() gives a literal the type
 * `real`, so this file comes after simd.h's own definitions.
 */
#ifndef FASTNN_CONSTANTS_H
#define FASTNN_CONSTANTS_H

#ifdef FASTNN_DOUBLE
/* exp(r) = 1 + r + r^2 p(r), relative error 4.4e-19 (0.00 ULP at most). */
#define EXP_DEGREE 10
static const real EXP_POLYNOMIAL[] = {
    R_(5.0e-01),
    R_(1.6666666666666677e-01),
    R_(4.166666666666652e-02),
    R_(8.333333333321662e-03),
    R_(1.3888888888962496e-03),
    R_(1.9841269885966564e-04),
    R_(2.480158717223688e-05),
    R_(2.7557244372906655e-06),
    R_(2.755740293713186e-07),
    R_(2.5108979414220343e-08),
    R_(2.0875230958696597e-09),
};
/* log((1+s)/(1-s)) = 2 s + s^3 p(s^2), relative error 1.3e-18 (0.01 ULP at most). */
#define LOG_DEGREE 6
static const real LOG_POLYNOMIAL[] = {
    R_(6.666666666666734e-01),
    R_(3.9999999999416397e-01),
    R_(2.857142874203356e-01),
    R_(2.2222198608232904e-01),
    R_(1.8183562561148797e-01),
    R_(1.5314094425475666e-01),
    R_(1.4795522314663354e-01),
};
/* tanh(x) = x + x^3 p(x^2), relative error 6.6e-19 (0.01 ULP at most). */
#define TANH_DEGREE 10
static const real TANH_POLYNOMIAL[] = {
    R_(-3.33333333333333e-01),
    R_(1.333333333332662e-01),
    R_(-5.396825396376052e-02),
    R_(2.1869488385851798e-02),
    R_(-8.863232601344263e-03),
    R_(3.5920920291650942e-03),
    R_(-1.455542835823998e-03),
    R_(5.884444388213792e-04),
    R_(-2.3338142981439044e-04),
    R_(8.331623434289547e-05),
    R_(-1.9494545719798184e-05),
};
/* Phi(-a) exp(a^2/2) (a+4) = p((a-4)/(a+4)), relative error 8.7e-18 (0.08 ULP at most). */
#define MILLS_DEGREE 23
static const real MILLS_POLYNOMIAL[] = {
    R_(7.552851304157515e-01),
    R_(-6.078966419718921e-01),
    R_(3.8713740074221487e-01),
    R_(-1.8652185795965878e-01),
    R_(6.039657489091717e-02),
    R_(-7.540188966677764e-03),
    R_(-3.479692366964473e-03),
    R_(1.6308184568940376e-03),
    R_(1.3334430751093146e-04),
    R_(-2.310949300045481e-04),
    R_(-1.908225618277662e-06),
    R_(3.514466463172568e-05),
    R_(7.165278657020159e-07),
    R_(-5.9201258338026945e-06),
    R_(-6.293191905673041e-07),
    R_(1.0215176499891077e-06),
    R_(2.711394117148513e-07),
    R_(-1.550344088145114e-07),
    R_(-8.467619710863674e-08),
    R_(1.3478422997335913e-08),
    R_(1.9161755617911476e-08),
    R_(1.7320111603991592e-09),
    R_(-2.3979404124803396e-09),
    R_(-6.616174590235183e-10),
};
#define MILLS_FIRST_LOW R_(-2.0816681711721685e-17)
#define TANH_PIECES ((const real *)NULL) /* of float32 alone */
#define TANH_SMALL R_(5.5e-01)
#define TANH_START R_(6.25e-01)
#define TANH_END R_(9.25e+00)
#define LARGEST_GAUSSIAN R_(4.0e+01)
#define LOG2_HIGH R_(6.931471805598903e-01)
#define LOG2_LOW R_(5.497923018708371e-14)
#define GELU_LINEAR_HIGH R_(1.5957691216057308e+00)
#define GELU_LINEAR_LOW R_(-9.96930880911092e-17)
#define GELU_CUBIC_HIGH R_(7.135481627260025e-02)
#define GELU_CUBIC_LOW R_(-6.175149918155315e-19)
#define GAUSSIAN_HIGH R_(3.989422804014327e-01)
#define GAUSSIAN_LOW R_(-2.49232720227773e-17)
#define SELU_SCALE_HIGH R_(1.0507009873554805e+00)
#define SELU_SCALE_LOW R_(4.6455512681859545e-17)
#define SELU_ALPHA_HIGH R_(1.7580993408473768e+00)
#define SELU_ALPHA_LOW R_(-6.395264655648322e-17)
#else
/* exp(r) = 1 + r + r^2 p(r), relative error 7.6e-10 (0.01 ULP at most). */
#define EXP_DEGREE 5
static const real EXP_POLYNOMIAL[] = {
    R_(5.0e-01),
    R_(1.6666666e-01),
    R_(4.166642e-02),
    R_(8.333462e-03),
    R_(1.39407e-03),
    R_(1.9846114e-04),
};
/* log((1+s)/(1-s)) = 2 s + s^3 p(s^2), relative error 8.1e-10 (0.01 ULP at most). */
#define LOG_DEGREE 2
static const real LOG_POLYNOMIAL[] = {
    R_(6.6666776e-01),
    R_(3.9977583e-01),
    R_(2.9870826e-01),
};
/* tanh(x) = x + x^3 p(x^2), relative error 1.9e-09 (0.03 ULP at most). */
#define TANH_DEGREE 4
static const real TANH_POLYNOMIAL[] = {
    R_(-3.3333316e-01),
    R_(1.3332583e-01),
    R_(-5.3852353e-02),
    R_(2.1071669e-02),
    R_(-6.2742406e-03),
};
/* Phi(-a) exp(a^2/2) (a+4) = p((a-4)/(a+4)), relative error 1.3e-08 (0.22 ULP at most). */
#define MILLS_DEGREE 9
static const real MILLS_POLYNOMIAL[] = {
    R_(7.5528514e-01),
    R_(-6.0789657e-01),
    R_(3.871369e-01),
    R_(-1.8652368e-01),
    R_(6.0403496e-02),
    R_(-7.5240196e-03),
    R_(-3.5102402e-03),
    R_(1.5683889e-03),
    R_(1.7466502e-04),
    R_(-1.3419092e-04),
};
#define MILLS_FIRST_LOW R_(-8.381903e-09)
/* tanh(x) = max(v, d) + d q(d) for x >= 0 and d = min(x, TANH_END) - c.  Tables of c, v
 * and the coefficients of q, by the quarter octave of x + TANH_START, relative error
 * 3.2e-09 (0.05 ULP at most). */
static const real TANH_PIECES[] ALIGNED = {
    R_(1.6238403e+00), R_(2.1157417e+00), R_(2.6269417e+00), R_(3.120491e+00),
    R_(3.8605003e+00), R_(4.880638e+00), R_(5.8596e+00), R_(6.858879e+00),
    R_(8.317749e+00), R_(0.0e+00), R_(1.869049e-01), R_(3.1321335e-01),
    R_(4.9708176e-01), R_(7.5473404e-01), R_(9.958153e-01), R_(1.2473602e+00),
    R_(9.2517936e-01), R_(9.713546e-01), R_(9.896e-01), R_(9.961117e-01),
    R_(9.9911356e-01), R_(9.998847e-01), R_(9.999837e-01), R_(9.999978e-01),
    R_(9.999999e-01), R_(0.0e+00), R_(1.8475848e-01), R_(3.0335757e-01),
    R_(4.5981902e-01), R_(6.379647e-01), R_(7.598311e-01), R_(8.4754175e-01),
    R_(1.4404307e-01), R_(5.6470226e-02), R_(2.0691836e-02), R_(7.761501e-03),
    R_(1.7721298e-03), R_(2.3054218e-04), R_(3.2544533e-05), R_(4.410841e-06),
    R_(2.3864993e-07), R_(0.0e+00), R_(9.658643e-01), R_(9.079742e-01),
    R_(7.8856647e-01), R_(5.93001e-01), R_(4.2265674e-01), R_(2.8167298e-01),
    R_(-1.3326567e-01), R_(-5.4852623e-02), R_(-2.047664e-02), R_(-7.731318e-03),
    R_(-1.7705081e-03), R_(-2.3051666e-04), R_(-3.2542997e-05), R_(-4.41069e-06),
    R_(-2.3862762e-07), R_(0.0e+00), R_(-1.7845163e-01), R_(-2.7544084e-01),
    R_(-3.6259785e-01), R_(-3.783138e-01), R_(-3.2114774e-01), R_(-2.3872961e-01),
    R_(7.529018e-02), R_(3.445903e-02), R_(1.336608e-02), R_(5.1138448e-03),
    R_(1.1771086e-03), R_(1.5348087e-04), R_(2.1672537e-05), R_(2.937462e-06),
    R_(1.5681178e-07), R_(-3.3333147e-01), R_(-2.8898352e-01), R_(-2.1910088e-01),
    R_(-9.6131146e-02), R_(4.3680504e-02), R_(1.0313189e-01), R_(1.0844298e-01),
    R_(-2.5231453e-02), R_(-1.5186845e-02), R_(-6.401831e-03), R_(-2.517197e-03),
    R_(-5.8718177e-04), R_(-7.668078e-05), R_(-1.0849712e-05), R_(-1.4707124e-06),
    R_(-7.8402664e-08), R_(-1.0817351e-04), R_(1.12874195e-01), R_(1.5827884e-01),
    R_(1.650599e-01), R_(9.82566e-02), R_(2.8688183e-02), R_(-1.2331677e-02),
    R_(1.1278845e-03), R_(4.484278e-03), R_(2.3507164e-03), R_(9.832389e-04),
    R_(2.4243261e-04), R_(3.1964064e-05), R_(4.5187853e-06), R_(6.125483e-07),
    R_(3.6680778e-08), R_(1.3549109e-01), R_(9.6737646e-02), R_(4.5196608e-02),
    R_(-2.5564568e-02), R_(-6.349803e-02), R_(-4.6709213e-02), R_(-1.956121e-02),
    R_(4.2425958e-03), R_(-5.2925135e-04), R_(-6.3608837e-04), R_(-3.0359896e-04),
    R_(-7.728835e-05), R_(-1.0725144e-05), R_(-1.4597954e-06), R_(-1.9766985e-07),
    R_(-1.2263607e-08), R_(-1.7993538e-02), R_(-5.9088785e-02), R_(-7.2372265e-02),
    R_(-5.048223e-02), R_(-1.4676427e-03), R_(1.867395e-02), R_(1.517587e-02),
};
#define TANH_SMALL R_(5.5e-01)
#define TANH_START R_(6.25e-01)
#define TANH_END R_(9.25e+00)
#define LARGEST_GAUSSIAN R_(1.5e+01)
#define LOG2_HIGH R_(6.9314575e-01)
#define LOG2_LOW R_(1.4286068e-06)
#define GELU_LINEAR_HIGH R_(1.5957692e+00)
#define GELU_LINEAR_LOW R_(-4.534068e-08)
#define GELU_CUBIC_HIGH R_(7.1354814e-02)
#define GELU_CUBIC_LOW R_(2.3988325e-09)
#define GAUSSIAN_HIGH R_(3.989423e-01)
#define GAUSSIAN_LOW R_(-1.133517e-08)
#define SELU_SCALE_HIGH R_(1.050701e+00)
#define SELU_SCALE_LOW R_(-3.4792652e-08)
#define SELU_ALPHA_HIGH R_(1.7580993e+00)
#define SELU_ALPHA_LOW R_(2.3296717e-08)
#endif

#endif
