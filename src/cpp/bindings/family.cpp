#include "bindings/bindings.hpp"

namespace admrl {

void bind_family(pybind11::module_&) {}

}  // namespace admrl
