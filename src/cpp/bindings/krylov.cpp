#include "bindings/bindings.hpp"

namespace admrl {

void bind_krylov(pybind11::module_&) {}

}  // namespace admrl
