#include "core/update/episode_scan.hpp"

#include "bindings/advantage.hpp"
#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// Reads (N, T) weights and c, and writes what `scan` makes of them.
template <class Scan>
py::array scanned(const py::object& weights, const py::object& c, const py::object& dones,
                  const py::object& timeouts, Scan scan) {
  const auto sizes = sizes_of<double>(weights, "weights", {{"N"}, {"T"}});
  const auto n = sizes[0], t = sizes[1];
  const Trajectories shape = trajectories(dones, timeouts, n, t);
  const auto w = read_span<double>(weights, "weights", {{"N", n}, {"T", t}});
  const auto values = read_span<double>(c, "c", {{"N", n}, {"T", t}});
  NewArray<double> out({n, t});
  {
    const ReleasedGil released;
    scan(shape, w, values, out.span);
  }
  return out.array;
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
  const auto sizes = sizes_of<float>(x, "x", {{"N"}, {"T"}, {"K"}});
  const auto n = sizes[0], t = sizes[1], k = sizes[2];
  const Trajectories shape = trajectories(dones, timeouts, n, t);
  const auto values = read_span<float>(x, "x", {{"N", n}, {"T", t}, {"K", k}});
  NewArray<double> out({n, t, k});
  {
    const ReleasedGil released;
    centre_by_age(shape, static_cast<std::size_t>(k), values, out.span);
  }
  return out.array;
}

}  // namespace

void bind_episode_scan(py::module_& m) {
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
