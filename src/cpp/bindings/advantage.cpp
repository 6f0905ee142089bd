#include "core/update/advantage.hpp"

#include <algorithm>

#include "bindings/advantage.hpp"
#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

py::tuple advantages_py(const py::object& rewards, const py::object& values,
                        const py::object& next_values, const py::object& dones,
                        const py::object& timeouts, double gamma, double lam) {
  const auto sizes = sizes_of<float>(rewards, "rewards", {{"N"}, {"T"}});
  const auto n = sizes[0], t = sizes[1];
  const Trajectories shape = trajectories(dones, timeouts, n, t);
  const auto r = read_span<float>(rewards, "rewards", {{"N", n}, {"T", t}});
  const auto v = read_span<float>(values, "values", {{"N", n}, {"T", t}});
  const auto next = read_span<float>(next_values, "next_values", {{"N", n}, {"T", t}});
  NewArray<float> out({n, t}), returns({n, t});
  {
    const ReleasedGil released;
    advantages(shape, r, v, next, gamma, lam, out.span, returns.span);
  }
  return py::make_tuple(out.array, returns.array);
}

py::array_t<float> reward_grad_advantages_py(const py::object& reward_grads,
                                             const py::object& dones, const py::object& timeouts,
                                             double gamma, double lam) {
  const auto sizes = sizes_of<float>(reward_grads, "reward_grads", {{"N"}, {"T"}, {"K"}});
  const auto n = sizes[0], t = sizes[1], k = sizes[2];
  const Trajectories shape = trajectories(dones, timeouts, n, t);
  const auto grads = read_span<float>(reward_grads, "reward_grads", {{"N", n}, {"T", t}, {"K", k}});
  NewArray<float> out({n, t, k});
  {
    const ReleasedGil released;
    reward_grad_advantages(shape, static_cast<std::size_t>(k), grads, gamma, lam, out.span);
  }
  return out.array;
}

py::array episode_weights_py(const py::object& dones, const py::object& timeouts, double gamma) {
  const auto sizes = sizes_of<bool>(dones, "dones", {{"N"}, {"T"}});
  const Trajectories shape = trajectories(dones, timeouts, sizes[0], sizes[1]);
  NewArray<double> out({sizes[0], sizes[1]});
  {
    const ReleasedGil released;
    episode_weights(shape, gamma, out.span);
  }
  return out.array;
}

}  // namespace

Trajectories trajectories(py::handle dones, py::handle timeouts, py::ssize_t n, py::ssize_t t) {
  return {static_cast<std::size_t>(n), static_cast<std::size_t>(t),
          read_span<bool>(dones, "dones", {{"N", n}, {"T", t}}),
          read_span<bool>(timeouts, "timeouts", {{"N", n}, {"T", t}})};
}

void bind_advantage(py::module_& m) {
  m.def("advantages", &advantages_py, py::arg("rewards"), py::arg("values"), py::arg("next_values"),
        py::arg("dones"), py::arg("timeouts"), py::arg("gamma"), py::arg("lam"),
        R"(Generalised advantage estimation over ragged episodes.

delta_t = r_t + gamma (1 - done_t) V(s'_t) - V(s_t);
A_t = delta_t + gamma lam (1 - end_t) A_{t+1}, end = done, timeout or last column.

Args:
    rewards: (N, T) float32, viewed.
    values: V(s_t), (N, T) float32, viewed.
    next_values: V(s'_t), (N, T) float32, viewed; not read where done.
    dones: (N, T) bool, viewed.
    timeouts: (N, T) bool, viewed.
    gamma: discount, in [0, 1].
    lam: the lambda of GAE, in [0, 1].

Returns:
    advantages and returns = advantages + values, each (N, T) float32; summed in float64.

Raises:
    ValueError: an array of another shape or type, or a factor outside [0, 1].)");
  m.def("reward_grad_advantages", &reward_grad_advantages_py, py::arg("reward_grads"),
        py::arg("dones"), py::arg("timeouts"), py::arg("gamma"), py::arg("lam"),
        R"(Derivative of the advantages in the task, V held fixed.

B_t = dr_t/dpsi + gamma lam (1 - end_t) B_{t+1}, end as in `advantages`.

Args:
    reward_grads: dr/dpsi, (N, T, K) float32, viewed.
    dones: (N, T) bool, viewed.
    timeouts: (N, T) bool, viewed.
    gamma: discount, in [0, 1].
    lam: the lambda of GAE, in [0, 1].

Returns:
    (N, T, K) float32; summed in float64.

Source: Eq. 6.

Raises:
    ValueError: an array of another shape or type, or a factor outside [0, 1].)");
  m.def("episode_weights", &episode_weights_py, py::arg("dones"), py::arg("timeouts"),
        py::arg("gamma"),
        R"(Weights with which a sum over samples estimates an expectation over episodes.

sum of w x over all samples estimates E[sum_t gamma^t x_t], t counted from the episode's first step:
w = gamma^t / n_t, n_t the number of episodes that began early enough for their step t to lie in the
batch, whether they lived to see it or not.

Args:
    dones: (N, T) bool, viewed.
    timeouts: (N, T) bool, viewed.
    gamma: discount, in [0, 1].

Returns:
    (N, T) float64.

Source: Eqs. 3, 4, 6, 7.

Raises:
    ValueError: an array of another shape or type, or gamma outside [0, 1].)");
}

}  // namespace admrl
