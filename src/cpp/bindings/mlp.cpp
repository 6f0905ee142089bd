#include "bindings/bindings.hpp"

namespace admrl {

void bind_mlp(pybind11::module_&) {}

}  // namespace admrl
