#include "bindings/bindings.hpp"

namespace admrl {

void bind_build_info(pybind11::module_&) {}

}  // namespace admrl
