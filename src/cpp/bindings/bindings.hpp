// One function per core header; each adds its names to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace admrl {

void bind_errors(pybind11::module_& m);
void bind_build_info(pybind11::module_& m);
void bind_thread_pool(pybind11::module_& m);
void bind_family(pybind11::module_& m);
void bind_model_content(pybind11::module_& m);
void bind_simulation(pybind11::module_& m);
void bind_policy(pybind11::module_& m);
void bind_virtual_rollout(pybind11::module_& m);
void bind_mlp(pybind11::module_& m);
void bind_value_fit(pybind11::module_& m);
void bind_dynamics_fit(pybind11::module_& m);
void bind_lane_mlp(pybind11::module_& m);
void bind_trpo(pybind11::module_& m);
void bind_advantage(pybind11::module_& m);
void bind_episode_scan(pybind11::module_& m);
void bind_krylov(pybind11::module_& m);
void bind_lanczos(pybind11::module_& m);

}  // namespace admrl
