#include "core/build_info.hpp"

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "core/environment/model_content.hpp"
#include "core/environment/model_loading.hpp"

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
  m.def(
      "model_content",
      [](const std::string& path) {
        std::map<std::string, std::string> content;
        {
          const ReleasedGil released;
          content = model_content(load_model(path, /*halve_margins=*/false).model.get());
        }
        py::dict by_name;
        for (const auto& [name, text] : content) by_name[py::str(name)] = py::bytes(text);
        return by_name;
      },
      py::arg("path"),
      R"(What the compiled model of an XML file consists of: bytes by the name of the field.

Two files with the same content make the same robot, wherever they and what they include lie. Numbers
have 9 significant digits, those of type float 6.

Raises:
    ValueError: the model does not load; MuJoCo's message in one line.)");
}

}  // namespace admrl
