#include "core/network/lane_mlp.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/layers.hpp"
#include "core/threads/thread_pool.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

py::array_t<float> mlp_forward_rows(ThreadPool& pool, const py::sequence& items,
                                    const py::object& mean, const py::object& std,
                                    const py::object& x) {
  const Layers kept("layers", items);
  const auto layers = kept.read();
  const LaneMlp mlp(sizes_of_chain(layers));
  const std::vector<float> params = parameters_of(layers);
  const py::ssize_t in = mlp.in_dim();
  const auto rows = sizes_of<float>(x, "x", {{"M"}, {"in", in}})[0];
  const auto means = read_span<float>(mean, "mean", {{"in", in}});
  const auto stds = read_span<float>(std, "std", {{"in", in}});
  const auto from = read_span<float>(x, "x", {{"M", rows}, {"in", in}});
  NewArray<float> out({rows, mlp.out_dim()});
  {
    const ReleasedGil released;
    forward_rows(pool, mlp, params.data(), means, stds, from.data(), static_cast<std::size_t>(rows),
                 out.span.data());
  }
  return out.array;
}

}  // namespace

void bind_lane_mlp(py::module_& m) {
  m.def(
      "mlp_forward_rows", &mlp_forward_rows, py::arg("pool"), py::arg("layers"), py::arg("mean"),
      py::arg("std"), py::arg("x"),
      R"(A tanh network of (x - mean) / std for many samples at once, shared by the pool's threads.

Args:
    pool: does the work.
    layers: [(weight (out, in), bias (out,)), ...] float32, tanh after all but the last; copied.
    mean: (in,) float32.
    std: (in,) float32.
    x: (M, in) float32, viewed.

Returns:
    (M, out) float32.

Raises:
    ValueError: layers that do not chain, or an array of another shape or type.

Determinism: the bits depend on the arguments and on `build_info()["kernels"]` alone; those of a row
do not depend on the other rows.)");
}

}  // namespace admrl
