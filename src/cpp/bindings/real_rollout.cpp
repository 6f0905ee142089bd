#include "bindings/bindings.hpp"

namespace admrl {

void bind_real_rollout(pybind11::module_&) {}

}  // namespace admrl
