"""Builds the compiled cores: units of C, some per dtype and some per instruction set as well.

Environment variables read here:

FASTNN_PURE=1    install without compiling anything (the NumPy reference only)
FASTNN_DEBUG=1   bounds checks, assertions, no optimisation beyond -O1
FASTNN_ISAS      comma-separated instruction sets to build, e.g. "v3,v4"; "native" stands for the
                 best one of this machine, which takes two thirds of the time
FASTNN_SANITIZE  passed to -fsanitize= ("address", "undefined"), for the memory tests

CC chooses the compiler, CFLAGS and LDFLAGS name folders of its libraries.  What a compiler can do
is found out by trials; docs/compilers.md says which compilers are tested.
"""

import copy
import functools
import importlib
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import types
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError
from setuptools.modified import newer_group

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# setuptools brings these two; its own import of them has come first.
from distutils.ccompiler import new_compiler  # isort: skip
from distutils.sysconfig import customize_compiler  # isort: skip

PURE = os.environ.get("FASTNN_PURE") == "1"
DEBUG = os.environ.get("FASTNN_DEBUG") == "1"
SANITIZE = os.environ.get("FASTNN_SANITIZE", "")
# The platform to build for: a cross build sets it (_PYTHON_HOST_PLATFORM=linux-aarch64).
X86 = sysconfig.get_platform().endswith("x86_64")
ISA_FLAGS = (
    {
        "v2": ["-march=x86-64-v2"],
        "v3": ["-march=x86-64-v3"],
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
        "v4b": ["-march=x86-64-v4", "-mprefer-vector-width=512", "-mavx512bf16", "-mavx512vnni"],
    }
    if X86
    else {"baseline": []}
)
BASELINE_NAME, BASELINE = next(iter(ISA_FLAGS.items()))
# Levels that differ in the products of narrow numbers alone: all else is that of another.
SHARED = {"v4b": "v4"}
# -O3 unrolls the loops of the kernels.  Processors that run "v2" and no more are older than 2013:
# their cores compile faster instead.
UNROLLED = set(ISA_FLAGS) - {"v2"}
DTYPE_MACROS = {"float32": [], "float64": [("FASTNN_DOUBLE", "1")]}
# What makes GCC's code better or its work shorter; other compilers refuse some of these flags.
TUNING = [
    # Loops over vectors hold several at a time for the processor to work on together; GCC would
    # leave their instructions one vector after the other.
    "-fschedule-insns",
    "-fsched-pressure",
    # The sources say themselves which constants a function has an instance for.
    "-fno-ipa-cp-clone",
    "-fno-version-loops-for-strides",
    "-fno-unswitch-loops",
]
# Units that multiply narrow numbers, linked with cores of float32: how they are compiled.
NARROW_MACROS = {
    "pairs": [("FASTNN_WORDS", "WORDS_PAIRS")],
    "quads": [("FASTNN_WORDS", "WORDS_QUADS")],
}
SOURCES = Path("fastnn/backend/compiled")
BUILD = Path("build")
UNFINISHED = BUILD / "unfinished"
SPACE = 200_000_000
"""Bytes on a disk that a build may need: files of C, objects, and what a compiler writes beside."""
MEMORYVIEWS = "fastnn.backend.compiled.memoryviews"
DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "embedsignature": False,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": True,
    "freethreading_compatible": True,
}


def instruction_sets():
    """The instruction sets to build for, from FASTNN_ISAS or all of this platform."""
    names = [name.strip() for name in os.environ.get("FASTNN_ISAS", "").split(",")]
    wanted = {native_instruction_set() if name == "native" else name for name in names if name}
    unknown = wanted - set(ISA_FLAGS)
    if unknown:
        refuse(
            f"FASTNN_ISAS names {', '.join(sorted(unknown))}, which is no instruction set of "
            f"{sysconfig.get_platform()}.",
            f"It has {', '.join(ISA_FLAGS)}; `native` stands for the best one of this machine.",
        )
    return [isa for isa in ISA_FLAGS if isa in wanted] or list(ISA_FLAGS)


@functools.cache
def native_instruction_set():
    """The best instruction set that the processor of this machine has."""
    if not X86:
        return BASELINE_NAME
    levels = dict(enumerate(ISA_FLAGS, start=2))
    level = Trials(default_compiler()).x86_level()
    if level not in levels:
        refuse(
            "FASTNN_ISAS says `native`, and no instruction set was found on this machine.",
            f"Name one of {', '.join(ISA_FLAGS)} in its place.",
        )
    return levels[level]


def load_facts(name):
    """A module of fastnn/facts, without running fastnn/__init__, which needs what is built here."""
    if "fastnn" not in sys.modules:
        package = sys.modules["fastnn"] = types.ModuleType("fastnn")
        package.__path__ = ["fastnn"]
    return importlib.import_module(f"fastnn.facts.{name}")


def mend_lists(folder: Path) -> None:
    """Release the new item of a list once where the list cannot grow.

    Cython 3.3 writes a list comprehension as a call that always releases the item; where it
    fails, the code around it releases the item again.
    """
    for path in folder.rglob("*.c"):
        text = path.read_text(encoding="utf-8")
        mended = text.replace(
            "int result = PyList_Append(list, x);\n    Py_DECREF(x);\n",
            "int result = PyList_Append(list, x);\n    if (result == 0) Py_DECREF(x);\n",
        )
        if mended != text:
            path.write_text(mended, encoding="utf-8")


def write_generated_files():
    """Write the enums and the dispatch that are made from the rows of fastnn/facts."""
    codegen = load_facts("codegen")
    folder = SOURCES / "generated"
    folder.mkdir(exist_ok=True)
    for name, (table, _) in codegen.FILES.items():
        text, file = codegen.text(name, load_facts(table).ROWS), folder / name
        # Time stamps decide what is compiled: a file that is up to date keeps its own.
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def cythonized(names, force):
    """Cython's C for some sources of the compiled core, as an Extension of each."""
    from Cython.Build import cythonize

    depends = [str(p) for pattern in ("*.h", "*.pxd", "*.pxi") for p in SOURCES.rglob(pattern)]
    templates = [
        Extension("fastnn.backend.compiled.processor", [str(SOURCES / "simd" / "processor.pyx")]),
        # Cython writes this one: the type behind memoryviews, which all others then import.
        Extension(MEMORYVIEWS, [str(SOURCES / "memoryviews.c")]),
        *(
            Extension(f"fastnn.backend.compiled.{name}", [str(SOURCES / f"{name}.pyx")],
                      depends=depends)
            for name in names
        ),
    ]  # fmt: skip
    # A folder for each set of directives: what is up to date is told by time stamps alone.
    build_dir = "build/cython-debug" if DEBUG else "build/cython"
    built = cythonize(
        templates,
        compiler_directives=DIRECTIVES,
        build_dir=build_dir,
        force=force,
        shared_utility_qualified_name=MEMORYVIEWS,
        # Other ways to start a process would run this file again.
        nthreads=2 if multiprocessing.get_start_method() == "fork" else 0,
    )
    mend_lists(Path(build_dir))
    for extension in built:
        extension.depends = depends + extension.sources
    return built


def extensions(force):
    """The list of extensions: the processor query, and the core per instruction set and dtype.

    A core is linked from units, `Extension.units`: Extensions that are compiled once each and are
    no modules of their own.  With `force`, files of C from an earlier build are not used.
    """
    write_generated_files()
    processor, memoryviews, *templates = cythonized(["calls", "core", *NARROW_MACROS], force)
    sources = {template.name.rpartition(".")[2]: template for template in templates}
    units = {}

    def unit(source, isa, dtype):
        """The unit of a source for an instruction set (None: any) and a dtype."""
        name = "_".join(filter(None, (source, isa, dtype)))
        if name not in units:
            macros = [*DTYPE_MACROS[dtype], *NARROW_MACROS.get(source, [])]
            units[name] = Extension(
                name,
                sources[source].sources,
                depends=sources[source].depends,
                include_dirs=[str(SOURCES / "simd"), numpy.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), *macros],
                extra_compile_args=list(ISA_FLAGS[isa] if isa else BASELINE),
            )
            units[name].computes = isa is not None
            units[name].unrolled = isa in UNROLLED
        return units[name]

    built = {}
    for isa in instruction_sets():
        for dtype in DTYPE_MACROS:
            base = SHARED.get(isa, isa)
            parts = [unit("calls", None, dtype), unit("core", base, dtype)]
            if dtype == "float32":
                parts += [unit(source, isa, dtype) for source in NARROW_MACROS]
                base = isa
            name = f"fastnn.backend.compiled.{base}_{dtype}.core"
            built[name] = Extension(name, list(parts[1].sources))
            built[name].units = parts
    return [processor, memoryviews, *built.values()]


class Trials:
    """What a compiler can do, found out by small programs."""

    def __init__(self, compiler):
        self.compiler = compiler
        self.results = {}  # by program and flags

    def builds(self, program, *flags):
        """Whether a program can be compiled and linked with some flags."""
        key = (program, flags)
        if key not in self.results:
            self.results[key] = self._try(program, list(flags))
        return self.results[key]

    def _try(self, program, flags):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "trial.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=flags
                )
                # As the cores are linked: with the caller's LDFLAGS.
                self.compiler.link_shared_object(
                    objects, str(Path(folder, "trial")), extra_postargs=flags
                )
            except (CompileError, LinkError):
                return False
        return True

    def understands(self, *flags):
        return self.builds("int one(void) { return 1; }\n", *flags)

    def has_openmp(self):
        return self.builds(
            "#include <omp.h>\nint n(void) { return omp_in_parallel(); }\n", "-fopenmp"
        )

    def x86_level(self):
        """The level of x86-64 that a program finds here; 0 where it cannot be built or run."""
        header = (SOURCES / "simd" / "processor.h").resolve()
        with tempfile.TemporaryDirectory() as folder:
            source, program = Path(folder, "trial.c"), Path(folder, "trial")
            source.write_text(f'#include "{header}"\nint main(void) {{ return x86_level(); }}\n')
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder)
                self.compiler.link_executable(objects, str(program))
                return subprocess.run([program], check=False).returncode
            except (CompileError, LinkError, OSError):
                return 0

    def name(self):
        """The command of the compiler, without its flags."""
        words = takewhile(lambda word: word[0] != "-", getattr(self.compiler, "compiler", []))
        return shlex.join(words) or self.compiler.compiler_type


def check_compiler(trials):
    """End with a sentence where the compiler cannot build the cores, before time is spent."""
    if fact := full_disk():
        refuse(fact, "Free some space, or name another folder in TMPDIR where it is that one.")
    if trials.compiler.compiler_type == "msvc":
        return
    if not trials.understands():
        refuse(
            f"no C compiler works here: `{trials.name()}` could not compile an empty program.",
            "Install one (Debian: apt-get install gcc) or name another in CC.",
        )
    headers = sysconfig.get_path("include")
    if not trials.builds("#include <Python.h>\n", f"-I{headers}"):
        refuse(
            f"the headers of Python are missing: there is no Python.h in {headers}.",
            "Install them (Debian: apt-get install python3-dev).",
        )
    isas = [isa for isa in instruction_sets() if isa not in SHARED]
    refused = [isa for isa in isas if not trials.understands(*ISA_FLAGS[isa])]
    if refused:
        flags = " ".join(ISA_FLAGS[refused[0]])
        refuse(
            f"`{trials.name()}` cannot build {', '.join(refused)}: it refuses {flags}.",
            "It is too old (GCC 11 and Clang 12 are the first that know the levels of x86-64) or "
            "compiles for another processor.  Name another compiler in CC.",
        )


def full_disk():
    """A sentence on a disk with too little space for a build; empty if there is enough."""
    for folder in (os.getcwd(), tempfile.gettempdir()):
        free = shutil.disk_usage(folder).free
        if free < SPACE:
            return (
                f"the disk of {folder} has {free // 10**6} MB free, and a build needs up to "
                f"{SPACE // 10**6} MB."
            )
    return ""


def refuse(fact, advice):
    """End with a sentence on what happened, and another on what to do."""
    last = "FASTNN_PURE=1 installs the NumPy backend alone, and compiles nothing.\n"
    sys.exit("\n".join(filter(None, (f"\nfastnn: {fact}", advice, last))))


class BuildCore(build_ext):
    """Adds what the compiler understands, and says clearly what went wrong when it fails."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        self.check_extensions_list(self.extensions)
        self.trials = Trials(self.compiler)
        check_compiler(self.trials)
        self.openmp = self.compiler.compiler_type == "msvc" or self._find_openmp()
        self.extensions = [e for e in self.extensions if self._can_compile(e)]
        units = {unit.name: unit for e in self.extensions for unit in getattr(e, "units", [])}
        for extension in [*self.extensions, *units.values()]:
            self._add_flags(extension)
        self._build(units)

    def _build(self, units):
        """Compile units and link extensions, some at a time; the first failure ends the others."""
        # The longest first: short ones fill the time at the end.
        ordered = sorted(units, key=lambda name: not name.startswith("core"))
        pool = ThreadPoolExecutor(self.parallel)
        try:
            # Units come before what they are linked into: by then they are there.
            self.objects = {name: pool.submit(self._compile, units[name]) for name in ordered}
            linked = [pool.submit(self.build_extension, e) for e in self.extensions]
            for done in as_completed([*self.objects.values(), *linked]):
                done.result()
        except (CompileError, LinkError):
            full = full_disk()
            refuse(
                "compiling the core failed; the compiler's messages are above.",
                full and f"The reason may be that {full}",
            )
        finally:
            # What runs ends, and a compiler that fails or is interrupted removes its output.
            pool.shutdown(cancel_futures=True)
            UNFINISHED.unlink(missing_ok=True)

    def _can_compile(self, extension):
        """Whether the compiler knows the instructions of an extension that others can replace."""
        isa = extension.name.split(".")[-2].split("_")[0]
        flags = ISA_FLAGS[isa] if isa in SHARED else []
        if self.trials.understands(*flags):
            return True
        print(f"fastnn: the compiler does not know the instructions of {isa}; it is left out")
        return False

    def _compile(self, unit):
        """The object files of a unit, which several extensions may link."""
        folder = os.path.join(self.build_temp, unit.name)
        objects = self.compiler.object_filenames(unit.sources, output_dir=folder)
        if self.force or any(newer_group(unit.depends, o, "newer") for o in objects):
            self.compiler.compile(
                unit.sources,
                output_dir=folder,
                macros=unit.define_macros,
                include_dirs=unit.include_dirs,
                extra_postargs=unit.extra_compile_args,
                depends=unit.depends,
            )
        return objects

    def copy_extensions_to_source(self):
        """An in-place build makes a folder for each variant first."""
        for extension in self.extensions:
            Path(*extension.name.split(".")[:-1]).mkdir(parents=True, exist_ok=True)
        super().copy_extensions_to_source()

    def build_extension(self, ext):
        """Build in a folder of the extension's own: variants share their source files."""
        own = copy.copy(self)
        own.build_temp = os.path.join(self.build_temp, ext.name)
        if hasattr(ext, "units"):
            # Units are compiled where their sources are newer, and linked where one is new.
            objects = [o for unit in ext.units for o in self.objects[unit.name].result()]
            ext.sources, ext.depends, ext.extra_objects = [], objects, objects
        build_ext.build_extension(own, ext)

    def _add_flags(self, extension):
        if self.compiler.compiler_type == "msvc":
            extension.extra_compile_args = ["/O2", "/openmp"]
            return
        flags = ["-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
        flags.append("-Wno-unused-function")
        if getattr(extension, "computes", False):
            # The kernels are written for it; calls are smaller where GCC decides.
            flags.append("-DCYTHON_INLINE=inline __attribute__((always_inline))")
        if DEBUG:
            flags += ["-O1", "-g", "-DFASTNN_ASSERT", "-UNDEBUG"]
        else:
            unrolled = getattr(extension, "unrolled", False)
            flags += ["-O3" if unrolled else "-O2", "-g0", "-DNDEBUG"]
            # Some compilers only warn of flags that they do not know.
            flags += [flag for flag in TUNING if self.trials.understands(flag, "-Werror")]
        extension.extra_compile_args += flags
        if SANITIZE:
            extension.extra_compile_args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
            extension.extra_link_args += [f"-fsanitize={SANITIZE}"]
        if self.openmp:
            extension.extra_compile_args.append("-fopenmp")
            extension.extra_link_args.append("-fopenmp")

    def _find_openmp(self):
        """Whether the compiler and its libraries have OpenMP."""
        if self.trials.has_openmp():
            return True
        print(
            f"fastnn: `{self.trials.name()}` has no OpenMP, as -fopenmp does not build. "
            "The core will use one thread.\nInstall the library of OpenMP (Clang on Debian: "
            "libomp-dev) or name its folders in CFLAGS and LDFLAGS, and install again."
        )
        return False


def compiles(command_line):
    """Whether a command of setuptools is going to compile."""
    commands = {"build", "build_ext", "bdist_wheel", "editable_wheel", "develop", "install"}
    return not PURE and bool(commands & set(command_line))


def default_compiler():
    """The compiler that setuptools takes if no option names one."""
    compiler = new_compiler()
    customize_compiler(compiler)
    return compiler


@contextmanager
def one_at_a_time():
    """Wait until no other process builds in this folder; yields whether all is to be built again.

    That is so if the build before was killed: files that it was writing look as if they were whole.
    """
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        if fcntl:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("fastnn: another build in this folder is under way; this one waits for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
        killed = UNFINISHED.exists()
        UNFINISHED.touch()
        yield killed
        UNFINISHED.unlink(missing_ok=True)


def interrupt(*signal_and_frame):
    """End with a sentence at Ctrl-C, which compilers receive as well."""
    for process in multiprocessing.active_children():  # of Cython, which ignore it
        process.terminate()
    sys.exit("\nfastnn: the build was interrupted before it was complete.  Start it again.\n")


def main():
    """Do what the command line says."""
    if PURE:
        setup()
        return
    if compiles(sys.argv) and not any(arg.startswith("--compiler") for arg in sys.argv):
        check_compiler(Trials(default_compiler()))
    with one_at_a_time() as force:
        signal.signal(signal.SIGINT, interrupt)
        setup(
            ext_modules=extensions(force),
            cmdclass={"build_ext": BuildCore},
            options={"build_ext": {"force": True}} if force else {},
        )


if __name__ == "__main__":  # also where pip runs this file
    main()
