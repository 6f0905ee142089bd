#include "bindings/bindings.hpp"

namespace admrl {

void bind_errors(pybind11::module_&) {}

}  // namespace admrl
