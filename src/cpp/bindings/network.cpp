#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/layers.hpp"
#include "core/network/lane_mlp.hpp"
#include "core/network/mlp.hpp"
#include "core/threads/thread_pool.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

py::array_t<float> mlp_forward(const py::sequence& layers, const std::string& activation,
                               const py::object& x) {
  const Layers kept("layers", layers);
  const PackedMlp mlp(kept.read(),
                      choice<Activation>("activation", activation,
                                         {{"tanh", Activation::tanh}, {"relu", Activation::relu}}));
  const auto in = read_span<float>(x, "x", {{"M"}, {"in", mlp.in_dim()}});
  return filled<float>({in.shape[0], mlp.out_dim()}, [&](std::span<float> out) {
    std::vector<float> scratch(to_size(mlp.scratch_size()));
    const std::size_t in_dim = to_size(mlp.in_dim()), out_dim = to_size(mlp.out_dim());
    for (std::size_t i = 0; i * out_dim < out.size(); ++i) {
      mlp.forward(in.data() + i * in_dim, out.data() + i * out_dim, scratch.data());
    }
  });
}

py::array_t<float> mlp_forward_rows(ThreadPool& pool, const py::sequence& items,
                                    const py::object& mean, const py::object& std,
                                    const py::object& x) {
  const Layers kept("layers", items);
  const auto layers = kept.read();
  const LaneMlp mlp(sizes_of_chain(layers));
  const std::vector<float> params = parameters_of(layers);
  const py::ssize_t in = mlp.in_dim();
  const auto means = read_span<float>(mean, "mean", {{"in", in}});
  const auto stds = read_span<float>(std, "std", {{"in", in}});
  const auto from = read_span<float>(x, "x", {{"M"}, {"in", in}});
  return filled<float>({from.shape[0], mlp.out_dim()}, [&](std::span<float> out) {
    forward_rows(pool, mlp, params.data(), means, stds, from.data(), to_size(from.shape[0]),
                 out.data());
  });
}

}  // namespace

void bind_network(py::module_& m) {
  m.def("mlp_forward", &mlp_forward, py::arg("layers"), py::arg("activation"), py::arg("x"),
        R"(Forward pass of a dense network, sample by sample, on the kernels that rollouts use.

Args:
    layers: [(weight (out, in), bias (out,)), ...] float32; copied for the call.
    activation: "tanh" or "relu", after every layer but the last.
    x: (M, in) float32, viewed.

Returns:
    (M, out) float32.

Raises:
    ValueError: layers that do not chain, or an array of another shape or type.

Determinism: the bits depend on the arguments and on `build_info()["kernels"]` alone.)");
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
