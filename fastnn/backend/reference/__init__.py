"""Every kernel and the engine in plain NumPy: the specification and the fallback.

The names and signatures are those of the compiled extension; the code favours
clarity.  `kernels` holds the stateless operations, `engine` runs whole programs.
"""
