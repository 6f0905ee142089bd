// One function per file; each adds its names to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace admrl {

void bind_errors(pybind11::module_& m);
void bind_build_info(pybind11::module_& m);
void bind_thread_pool(pybind11::module_& m);
void bind_family(pybind11::module_& m);
void bind_simulation(pybind11::module_& m);
void bind_policy(pybind11::module_& m);
void bind_virtual_rollout(pybind11::module_& m);
void bind_network(pybind11::module_& m);
void bind_update(pybind11::module_& m);
void bind_trajectories(pybind11::module_& m);
void bind_solve(pybind11::module_& m);

}  // namespace admrl
