#include "core/network/lane_mlp.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "core/check.hpp"
#include "core/threads/loans.hpp"
#include "core/threads/thread_pool.hpp"
#include "kernels/dispatch.hpp"

namespace admrl {

LaneMlp::LaneMlp(std::span<const int> sizes) : kernels_(&kernels()) {
  require(sizes.size() >= 2, "layers: expected at least one");
  for (const int size : sizes) {
    require(size >= 1, "layers: expected positive sizes, got ", size);
    widest_ = std::max(widest_, size);
  }
  const int p = panel();
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
    Layer l{sizes[i], sizes[i + 1], num_params_, 0, (sizes[i] + p - 1) / p * p, gradient_size_, 0};
    l.bias = l.weight + to_size(l.out) * to_size(l.in);
    l.bias_gradient = l.weight_gradient + to_size(l.out) * to_size(l.padded_in);
    num_params_ = l.bias + to_size(l.out);
    gradient_size_ = l.bias_gradient + to_size(l.out) * to_size(p);
    layers_.push_back(l);
  }
}

LaneScratch LaneMlp::scratch(int panels) const {
  const std::size_t size = to_size(panels) * to_size(widest_) * to_size(panel());
  return {LaneBuffer(size), LaneBuffer(size)};
}

LaneMlp::Kept::Kept(const LaneMlp& mlp, int panels) {
  const std::size_t panel = to_size(mlp.panel());
  rows_step_ = to_size(panels) * panel * panel;
  std::size_t size = 0;
  for (const Layer& layer : mlp.layers_) {
    lanes_.push_back({size, to_size(layer.in) * panel});
    size = lanes_.back().at(panels);
    rows_.push_back({size, panel * panel});
    size += rows_step_ * (to_size(layer.padded_in) / panel);
  }
  data_ = LaneBuffer(size);
}

void LaneMlp::read(const float* samples, int count, std::span<const float> mean,
                   std::span<const float> std, int panels, float* x) const {
  const int in = in_dim(), width = panel();
  for (int p = 0; p < panels; ++p, x += in * width) {
    const int here = std::clamp(count - p * width, 0, width);
    for (int d = 0; d < in; ++d) {
      float* row = x + d * width;
      const float m = mean[to_size(d)], deviation = std[to_size(d)];
      for (int s = 0; s < here; ++s) row[s] = (samples[s * in + d] - m) / deviation;
      std::fill(row + here, row + width, 0.0f);
    }
    samples += here * in;
  }
}

void LaneMlp::apply(const Layer& layer, const float* params, const float* x, int panels,
                    ProductStart start, ProductEnd end, const float* slopes, float* y) const {
  const long width = panel();
  kernels_->product({layer.out, layer.in, panels, params + layer.weight, layer.in, 1, width, x,
                     layer.in * width, y, width, layer.out * width, nullptr, start,
                     params + layer.bias, end, slopes});
}

void LaneMlp::forward(const float* params, const float* x, int panels, LaneScratch& scratch,
                      float* y) const {
  float* into = scratch.even.data();
  float* other = scratch.odd.data();
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
    apply(layers_[i], params, x, panels, ProductStart::row_bias, ProductEnd::tanh, nullptr, into);
    x = into;
    std::swap(into, other);
  }
  apply(layers_.back(), params, x, panels, ProductStart::row_bias, ProductEnd::none, nullptr, y);
}

// A copy by rows of a layer's input; zeros behind the last feature.
void LaneMlp::keep_rows(const Layer& layer, std::size_t index, const Kept& kept, int first,
                        int panels) const {
  const int width = panel();
  for (int p = first; p < first + panels; ++p) {
    const float* from = kept.lanes(index, p);
    float* to = kept.rows(index, p);
    for (int f0 = 0; f0 < layer.in; f0 += width, to += kept.rows_step()) {
      const int count = std::min(width, layer.in - f0);
      for (int s = 0; s < width; ++s) {
        for (int f = 0; f < count; ++f) to[s * width + f] = from[(f0 + f) * width + s];
        std::fill(to + s * width + count, to + (s + 1) * width, 0.0f);
      }
    }
  }
}

void LaneMlp::forward(const float* params, const Kept& kept, int first, int panels,
                      float* y) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    keep_rows(layers_[i], i, kept, first, panels);
    const bool last = i + 1 == layers_.size();
    apply(layers_[i], params, kept.lanes(i, first), panels, ProductStart::row_bias,
          last ? ProductEnd::none : ProductEnd::tanh, nullptr, last ? y : kept.lanes(i + 1, first));
  }
}

void LaneMlp::tangent(const float* params, const float* direction, const Kept& kept, int first,
                      int panels, LaneScratch& scratch, float* y) const {
  float* into = scratch.even.data();
  float* other = scratch.odd.data();
  const float* change = nullptr;  // of the layer's input
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const bool last = i + 1 == layers_.size();
    float* to = last ? y : into;
    const auto end = last ? ProductEnd::none : ProductEnd::tanh_slope;
    const float* slopes = last ? nullptr : kept.lanes(i + 1, first);
    apply(layers_[i], direction, kept.lanes(i, first), panels, ProductStart::row_bias,
          change == nullptr ? end : ProductEnd::none, slopes, to);
    if (change != nullptr) {
      apply(layers_[i], params, change, panels, ProductStart::accumulate, end, slopes, to);
    }
    change = to;
    std::swap(into, other);
  }
}

void LaneMlp::adjoint(const float* params, const Kept& kept, int first, int panels, const float* w,
                      LaneScratch& scratch, float* gradient) const {
  const long width = panel();
  float* into = scratch.even.data();
  float* other = scratch.odd.data();
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Layer& l = layers_[i];
    kernels_->product({l.out, static_cast<int>(panels * width),
                       static_cast<int>(l.padded_in / width), w, width, 1, l.out * width,
                       kept.rows(i, first), static_cast<long>(kept.rows_step()),
                       gradient + l.weight_gradient, l.padded_in, width, nullptr,
                       ProductStart::accumulate, nullptr, ProductEnd::none, nullptr});
    kernels_->add_panels(w, l.out, panels, gradient + l.bias_gradient);
    if (i == 0) break;
    kernels_->product({l.in, l.out, panels, params + l.weight, 1, l.in, l.in * width, w,
                       l.out * width, into, width, l.in * width, nullptr, ProductStart::zero,
                       nullptr, ProductEnd::tanh_slope, kept.lanes(i, first)});
    w = into;
    std::swap(into, other);
  }
}

void LaneMlp::add_gradient(const float* gradient, std::span<double> out) const {
  for (const Layer& l : layers_) {
    for (int r = 0; r < l.out; ++r) {
      const float* from = gradient + l.weight_gradient + to_size(r) * to_size(l.padded_in);
      double* to = out.data() + l.weight + to_size(r) * to_size(l.in);
      for (int c = 0; c < l.in; ++c) to[c] += static_cast<double>(from[c]);
    }
    for (int r = 0; r < l.out; ++r) {
      const float* from = gradient + l.bias_gradient + to_size(r) * to_size(panel());
      out[l.bias + to_size(r)] += std::accumulate(from, from + panel(), 0.0);
    }
  }
}

void forward_rows(ThreadPool& pool, const LaneMlp& mlp, const float* params,
                  std::span<const float> mean, std::span<const float> std, const float* x,
                  std::size_t rows, float* y) {
  constexpr int kPanels = 8;  // a piece: enough work to be worth handing out, little enough for L2
  const std::size_t width = to_size(mlp.panel()), piece = kPanels * width;
  const std::size_t in = to_size(mlp.in_dim()), out = to_size(mlp.out_dim());
  struct Buffers {
    LaneScratch scratch;
    LaneBuffer x, y;
  };
  Loans<Buffers> buffers(pool.num_threads(), [&] {
    return Buffers{mlp.scratch(kPanels), LaneBuffer(piece * in), LaneBuffer(piece * out)};
  });
  pool.for_each(static_cast<int>((rows + piece - 1) / piece), [&](int i) {
    const auto loan = buffers.take();
    Buffers& b = *loan;
    const std::size_t first = to_size(i) * piece;
    const std::size_t count = std::min(piece, rows - first);
    const int panels = static_cast<int>((count + width - 1) / width);
    mlp.read(x + first * in, static_cast<int>(count), mean, std, panels, b.x.data());
    mlp.forward(params, b.x.data(), panels, b.scratch, b.y.data());
    for (std::size_t s = 0; s < count; ++s) {
      const float* from = b.y.data() + s / width * out * width + s % width;
      for (std::size_t j = 0; j < out; ++j) y[(first + s) * out + j] = from[j * width];
    }
  });
}

}  // namespace admrl
