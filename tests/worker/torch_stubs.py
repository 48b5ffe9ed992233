"""Makes `import torch` work where CUDA is not installed, for tests that compute on the CPU.

The one build of PyTorch that a package registry has for Linux links to a dozen libraries of CUDA, gigabytes that nothing here
calls. Each that is missing becomes a small library with the functions that are wanted of it; to call one ends the process.

    python torch_stubs.py SITE_PACKAGES            (needs gcc and binutils)
"""

import pathlib
import subprocess
import sys
import tempfile

# How the names of these libraries' functions begin.
PREFIXES = ("cu", "__cu", "nccl", "pnccl", "nvrtc", "nvml", "nvtx", "nvshmem", "nvJit", "__nv")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols(library):
    """The names that a library wants, each with the version it wants, and those that it has."""
    wanted, has = set(), set()
    for line in output("nm", "-D", str(library)).splitlines():
        *_, kind, name = line.split()
        name, _, version = name.partition("@")
        if kind in "Uw":
            wanted.add((name, version.lstrip("@")))
        else:
            has.add(name)
    return wanted, has


def versions(library):
    """The versions that it wants, and of which library."""
    found, of = {}, None
    for line in output("readelf", "-VW", str(library)).splitlines():
        words = line.replace(":", ": ").split()
        if "File:" in words:
            of = words[words.index("File:") + 1]
        elif "Name:" in words and of:
            found[words[words.index("Name:") + 1]] = of
        elif not words:
            of = None
    return found


def main(site):
    folder = site / "torch" / "lib"
    own = sorted(folder.glob("*.so*"))
    others = sorted(site.glob("nvidia/**/lib/*.so*"))
    there = {it.name for it in own + others}
    needed, wanted, has, of = set(), set(), set(), {}
    for library in own:
        for line in output("readelf", "-d", str(library)).splitlines():
            if "(NEEDED)" in line:
                needed.add(line.split("[")[1].rstrip("]"))
        of.update(versions(library))
    for library in own + others:
        lacks, offers = symbols(library)
        wanted |= lacks if library in own else set()
        has |= offers
    missing = sorted(it for it in needed - there if it.startswith(("libcu", "libnccl", "libnv")))
    wanted = sorted(it for it in wanted if it[0] not in has and it[0].startswith(PREFIXES))
    for library in missing:
        # A name without a version is looked for in all libraries, so the first may have it.
        mine = [it for it in wanted if of.get(it[1], missing[0]) == library]
        stub(folder / library, mine)
    print("%d libraries stand in: %s" % (len(missing), " ".join(missing)))


def stub(library, names):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "stub.c").write_text("int none;\n" + "".join("void %s(void) { __builtin_trap(); }\n" % name
                                                              for name, _ in names))
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", "-Wl,-soname," + library.name, "-o", str(library),
                   str(scratch / "stub.c")]
        nodes = sorted({version for _, version in names if version})
        if nodes:
            script = "".join("%s { global: %s };\n" % (node, " ".join(name + ";" for name, version in names if version == node))
                             for node in nodes)
            (scratch / "versions").write_text(script)
            command.append("-Wl,--version-script,%s" % (scratch / "versions"))
        output(*command)


main(pathlib.Path(sys.argv[1]))
