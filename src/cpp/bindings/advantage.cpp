#include "bindings/bindings.hpp"

namespace admrl {

void bind_advantage(pybind11::module_&) {}

}  // namespace admrl
