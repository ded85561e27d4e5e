"""Benchmarks for airspeed velocity: the same calls on the compiled backend and on NumPy.

A library is measured with the kernels that it chooses itself for the processor.  Importing this
package therefore takes out of the environment what would choose others, for this process and
for those that it starts.  Libraries look when they are loaded, so it comes before NumPy.
"""

import os
import sys

KERNEL_CHOICES = (
    "ATEN_CPU_CAPABILITY",
    "BLIS_ARCH_TYPE",
    "BLIS_MODEL_TYPE",
    "DNNL_CPU_ISA_HINTS",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "NVPL_BLAS_DEBUG_CPU_TYPE",
    "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "XLA_FLAGS",
)


_found = tuple(name for name in KERNEL_CHOICES if os.environ.pop(name, None) is not None)

#: Those that came too late to take out, since NumPy was loaded before: they hold in this process.
TOO_LATE = _found if "numpy" in sys.modules else ()
