#include "core/environment/model_content.hpp"

#include <pybind11/stl.h>

#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "core/environment/model_loading.hpp"

namespace admrl {

namespace py = pybind11;

void bind_model_content(py::module_& m) {
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
