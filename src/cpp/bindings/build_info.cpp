#include "core/build_info.hpp"

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"

namespace admrl {

namespace py = pybind11;

void bind_build_info(py::module_& m) {
  m.def(
      "build_info",
      [] {
        const BuildInfo info = build_info();
        py::dict d;
        d["version"] = ADMRL_VERSION;
        d["kernels"] = info.kernels;
        d["isa_available"] = info.isa_available;
        d["bf16"] = info.bf16;
        d["compiler"] = info.compiler;
        d["mujoco"] = info.mujoco;
        d["mujoco_headers"] = info.mujoco_headers;
        d["eigen"] = info.eigen;
        d["cxx_standard"] = info.cxx_standard;
        return d;
      },
      R"(What the native core was built with, and the kernels it runs on this CPU.

Returns:
    dict: version, kernels (the instruction set in use), isa_available (those this CPU has, lowest
    first), bf16 (whether the kernels in use multiply bfloat16), compiler, mujoco (the library in
    use), mujoco_headers (built against), eigen, cxx_standard.

Raises:
    ValueError: the environment variable ADMRL_ISA names an unknown or missing instruction set.)");
}

}  // namespace admrl
