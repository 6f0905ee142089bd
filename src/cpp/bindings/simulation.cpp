#include "bindings/bindings.hpp"

namespace admrl {

void bind_simulation(pybind11::module_&) {}

}  // namespace admrl
