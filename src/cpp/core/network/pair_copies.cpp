#include "core/network/pair_copies.hpp"

#include <algorithm>

#include "core/check.hpp"

namespace admrl {
namespace {

int blocks(int n, int size) { return (n + size - 1) / size; }

constexpr unsigned kTwoOnes = 0x3f803f80;  // a pair of bfloat16

}  // namespace

PairCopies::PairCopies(const Kernels& kernels, const TrainedLayer& layer, int batch)
    : in_pairs(blocks(layer.in, 2)),
      out_pairs(blocks(layer.out, 2)),
      batch_pairs(blocks(batch, 2)),
      kernels_(kernels),
      in_(layer.in),
      out_(layer.out) {
  const int panel = kernels.panel, panels = blocks(batch, panel);
  const int in_panels = blocks(in_ + 1, panel);
  delta_row = panels * panel / 2;
  weights.resize(to_size(out_) * to_size(in_pairs));
  x.resize(to_size(panels) * to_size(in_pairs) * to_size(panel));
  weights_back.resize(to_size(out_pairs) * to_size(in_));
  delta.resize(to_size(panels) * to_size(out_pairs) * to_size(panel));
  delta_rows.resize(to_size(out_) * to_size(delta_row));
  x_columns.resize(to_size(in_panels) * to_size(batch_pairs) * to_size(panel));
  unsigned* ones = x_columns.data() + long{in_ / panel} * batch_pairs * panel + in_ % panel;
  for (int s = 0; s < batch_pairs; ++s) ones[s * panel] = kTwoOnes;
  take_weights(layer.weight, 0, out_);
}

void PairCopies::take_weights(const float* weight, int row, int rows) noexcept {
  for (int o = row; o < row + rows; ++o) {
    const float* from = weight + long{o} * in_;
    kernels_.pair_neighbours(from, in_, weights.data() + long{o} * in_pairs);
    if (o % 2 != 0) continue;
    kernels_.pair_rows(from, o + 1 < out_ ? from + in_ : nullptr, in_,
                       weights_back.data() + long{o / 2} * in_);
  }
}

void PairCopies::take_inputs(const float* from, int row, int rows, int p) noexcept {
  const int panel = kernels_.panel;
  const int pairs = std::min(panel / 2, batch_pairs - p * panel / 2);
  unsigned samples[kWidestPanel / 2];
  for (int f = row; f < row + rows; ++f) {
    const float* values = from + long{f} * panel;
    if (f % 2 == 0) {
      kernels_.pair_rows(values, f + 1 < in_ ? values + panel : nullptr, panel,
                         x.data() + (long{p} * in_pairs + f / 2) * panel);
    }
    kernels_.pair_neighbours(values, panel, samples);
    unsigned* to = x_columns.data() +
                   (long{f / panel} * batch_pairs + long{p} * panel / 2) * panel + f % panel;
    for (int s = 0; s < pairs; ++s) to[s * panel] = samples[s];
  }
}

void PairCopies::take_delta(const float* from, int row, int rows, int p) noexcept {
  const int panel = kernels_.panel;
  for (int o = row; o < row + rows; ++o) {
    const float* values = from + long{o} * panel;
    kernels_.pair_neighbours(values, panel,
                             delta_rows.data() + long{o} * delta_row + long{p} * panel / 2);
    if (o % 2 != 0) continue;
    kernels_.pair_rows(values, o + 1 < out_ ? values + panel : nullptr, panel,
                       delta.data() + (long{p} * out_pairs + o / 2) * panel);
  }
}

}  // namespace admrl
