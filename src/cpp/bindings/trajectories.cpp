#include <algorithm>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "core/update/advantage.hpp"
#include "core/update/episode_scan.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// Views `dones` and `timeouts`, (N, T) bool. Raises InvalidInput for another shape or type.
Trajectories trajectories(py::handle dones, py::handle timeouts, py::ssize_t n, py::ssize_t t) {
  return {static_cast<std::size_t>(n), static_cast<std::size_t>(t),
          read_span<bool>(dones, "dones", {{"N", n}, {"T", t}}),
          read_span<bool>(timeouts, "timeouts", {{"N", n}, {"T", t}})};
}

py::tuple advantages_py(const py::object& rewards, const py::object& values,
                        const py::object& next_values, const py::object& dones,
                        const py::object& timeouts, double gamma, double lam) {
  const auto r = read_span<float>(rewards, "rewards", {{"N"}, {"T"}});
  const auto n = r.shape[0], t = r.shape[1];
  const Trajectories shape = trajectories(dones, timeouts, n, t);
  const auto v = read_span<float>(values, "values", {{"N", n}, {"T", t}});
  const auto next = read_span<float>(next_values, "next_values", {{"N", n}, {"T", t}});
  NewArray<float> returns({n, t});
  const auto found = filled<float>({n, t}, [&](std::span<float> out) {
    advantages(shape, r, v, next, gamma, lam, out, returns.span);
  });
  return py::make_tuple(found, returns.array);
}

py::array_t<float> reward_grad_advantages_py(const py::object& reward_grads,
                                             const py::object& dones, const py::object& timeouts,
                                             double gamma, double lam) {
  const auto grads = read_span<float>(reward_grads, "reward_grads", {{"N"}, {"T"}, {"K"}});
  const Trajectories shape = trajectories(dones, timeouts, grads.shape[0], grads.shape[1]);
  return filled<float>(grads.shape, [&](std::span<float> out) {
    reward_grad_advantages(shape, to_size(grads.shape[2]), grads, gamma, lam, out);
  });
}

py::array episode_weights_py(const py::object& dones, const py::object& timeouts, double gamma) {
  const auto sizes = read_span<bool>(dones, "dones", {{"N"}, {"T"}}).shape;
  const Trajectories shape = trajectories(dones, timeouts, sizes[0], sizes[1]);
  return filled<double>(sizes, [&](std::span<double> out) { episode_weights(shape, gamma, out); });
}

// Reads (N, T) weights and c, and writes what `scan` makes of them.
template <class Scan>
py::array scanned(const py::object& weights, const py::object& c, const py::object& dones,
                  const py::object& timeouts, Scan scan) {
  const auto w = read_span<double>(weights, "weights", {{"N"}, {"T"}});
  const auto n = w.shape[0], t = w.shape[1];
  const Trajectories shape = trajectories(dones, timeouts, n, t);
  const auto values = read_span<double>(c, "c", {{"N", n}, {"T", t}});
  return filled<double>({n, t}, [&](std::span<double> out) { scan(shape, w, values, out); });
}

py::array cross_step_scan_py(const py::object& weights, const py::object& c,
                             const py::object& dones, const py::object& timeouts, double decay) {
  return scanned(weights, c, dones, timeouts, [decay](auto& shape, auto w, auto values, auto out) {
    cross_step_scan(shape, w, values, decay, out);
  });
}

py::array episode_sum_scan_py(const py::object& weights, const py::object& c,
                              const py::object& dones, const py::object& timeouts) {
  return scanned(weights, c, dones, timeouts, [](auto& shape, auto w, auto values, auto out) {
    episode_sum_scan(shape, w, values, out);
  });
}

py::array centre_by_age_py(const py::object& x, const py::object& dones,
                           const py::object& timeouts) {
  const auto values = read_span<float>(x, "x", {{"N"}, {"T"}, {"K"}});
  const Trajectories shape = trajectories(dones, timeouts, values.shape[0], values.shape[1]);
  return filled<double>(values.shape, [&](std::span<double> out) {
    centre_by_age(shape, to_size(values.shape[2]), values, out);
  });
}

}  // namespace

void bind_trajectories(py::module_& m) {
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
  m.def("cross_step_scan", &cross_step_scan_py, py::arg("weights"), py::arg("c"), py::arg("dones"),
        py::arg("timeouts"), py::arg("decay"),
        R"(Weighted products of pairs of time steps of one episode, summed over one of the two.

out_t = w_t (c_t + C_t) + E_t, within episodes, with
C_t = sum_{u<t} decay^(t-u) c_u and E_t = sum_{u>t} decay^(u-t) w_u c_u.

Args:
    weights: w, (N, T) float64, viewed.
    c: (N, T) float64, viewed.
    dones: (N, T) bool, viewed.
    timeouts: (N, T) bool, viewed.
    decay: in [0, 1]; 1 counts every pair in full, 0 none of two different steps.

Returns:
    (N, T) float64.

Raises:
    ValueError: an array of another shape or type, or a decay outside [0, 1].)");
  m.def("episode_sum_scan", &episode_sum_scan_py, py::arg("weights"), py::arg("c"),
        py::arg("dones"), py::arg("timeouts"),
        R"(out_t = w_t times the sum of c over the episode of t.

Args:
    weights: w, (N, T) float64, viewed; constant along each episode.
    c: (N, T) float64, viewed.
    dones: (N, T) bool, viewed.
    timeouts: (N, T) bool, viewed.

Returns:
    (N, T) float64.

Raises:
    ValueError: an array of another shape or type.)");
  m.def("centre_by_age", &centre_by_age_py, py::arg("x"), py::arg("dones"), py::arg("timeouts"),
        R"(x less the mean of the other episodes at the same step of theirs.

A step that only one episode reached gets the mean over all samples of the others instead, 0 if
there is no other.

Args:
    x: (N, T, K) float32, viewed.
    dones: (N, T) bool, viewed.
    timeouts: (N, T) bool, viewed.

Returns:
    (N, T, K) float64.

Raises:
    ValueError: an array of another shape or type.)");
}

}  // namespace admrl
