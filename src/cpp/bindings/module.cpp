// The extension module: a table of contents.
#include <pybind11/pybind11.h>

#include "bindings/bindings.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "Native core of admrl_native.";
  admrl::bind_errors(m);
  admrl::bind_build_info(m);
  admrl::bind_thread_pool(m);
  admrl::bind_family(m);
  admrl::bind_model_content(m);
  admrl::bind_simulation(m);
  admrl::bind_policy(m);
  admrl::bind_virtual_rollout(m);
  admrl::bind_mlp(m);
  admrl::bind_value_fit(m);
  admrl::bind_dynamics_fit(m);
  admrl::bind_lane_mlp(m);
  admrl::bind_trpo(m);
  admrl::bind_advantage(m);
  admrl::bind_episode_scan(m);
  admrl::bind_krylov(m);
  admrl::bind_lanczos(m);
}
