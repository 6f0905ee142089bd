#include "core/network/wide_network.hpp"

#include <algorithm>
#include <cmath>

#include "core/check.hpp"
#include "kernels/dispatch.hpp"

namespace admrl {
namespace {

int blocks(int n, int size) { return (n + size - 1) / size; }

// A piece of a product takes some 50 microseconds at the paper's sizes: the cost of handing it out
// does not show, and the threads end a product at nearly the same time. Measured on an EPYC of
// family 26, 2026-11-25: pieces half or twice as large are no faster.
// An even number of tiles: pairs of bfloat16 begin at even rows.
constexpr int kTilesOfPiece = 4;
constexpr int kPanelsOfPiece = 4;
constexpr int kFewRows = 200;        // below it, a piece has one panel
constexpr int kTilesOfGradient = 2;  // all its panels at once

void run(const Kernels& kernels, const Product& q) { kernels.product(q); }
void run(const Kernels& kernels, const PairProduct& q) { kernels.pair_product(q); }

}  // namespace

WideNetwork::WideNetwork(std::span<const TrainedLayer> layers, int batch, Precision precision)
    : kernels_(kernels()), batch_(batch), panels_(blocks(batch, kernels_.panel)) {
  check_precision(precision);
  const auto panel = to_size(kernels_.panel);
  input_.assign(to_size(panels_) * to_size(layers.front().in) * panel, 0.0f);
  for (const TrainedLayer& trained : layers) {
    Layer& l = layers_.emplace_back();
    const auto out = to_size(trained.out);
    l.trained = trained;
    l.in_panels = blocks(trained.in + 1, kernels_.panel);
    if (precision == Precision::bf16 && layers_.size() > 1) {
      l.pairs.emplace(kernels_, trained, batch);
    } else {
      l.x.assign(to_size(l.in_panels) * to_size(batch) * panel, 0.0f);
      float* ones = l.x.data() + to_size(trained.in) / panel * to_size(batch) * panel +
                    to_size(trained.in) % panel;
      for (std::size_t s = 0; s < to_size(batch); ++s) ones[s * panel] = 1.0f;
    }
    l.y.assign(to_size(panels_) * out * panel, 0.0f);
    l.delta.assign(to_size(panels_) * out * panel, 0.0f);
    // One register more than the columns: rows whose distance is a power of two share few cache
    // lines.
    l.gradient_row = to_size(l.in_panels) * panel + to_size(kernels_.width);
    l.gradient.assign(out * l.gradient_row, 0.0f);
    l.bias_gradient.assign(out, 0.0f);
    l.squares.assign(out, 0.0);
    const auto batch_cut = [&](int rows) {
      return cut(rows, kTilesOfPiece, panels_, rows < kFewRows ? 1 : kPanelsOfPiece);
    };
    l.outputs = batch_cut(trained.out);
    l.inputs = batch_cut(trained.in);
    l.gradients = cut(trained.out, kTilesOfGradient, l.in_panels, l.in_panels);
    adam_layer_.insert(adam_layer_.end(), l.gradients.size(), layers_.size() - 1);
    adam_pieces_.insert(adam_pieces_.end(), l.gradients.begin(), l.gradients.end());
  }
}

std::vector<WideNetwork::Piece> WideNetwork::cut(int rows, int tiles_of_piece, int panels,
                                                 int panels_of_piece) const {
  const int step = tiles_of_piece * kernels_.tile_rows;
  std::vector<Piece> pieces;
  for (int p = 0; p < panels; p += panels_of_piece) {
    for (int row = 0; row < rows; row += step) {
      pieces.push_back({row, std::min(step, rows - row), p, std::min(panels_of_piece, panels - p)});
    }
  }
  return pieces;
}

void WideNetwork::set_input(int sample, const float* input) noexcept {
  Layer& l = layers_.front();
  const long in = l.trained.in, panel = kernels_.panel;
  float* column = input_.data() + sample / panel * in * panel + sample % panel;
  float* row = l.x.data() + sample * panel;
  for (long f = 0; f < in; ++f) {
    column[f * panel] = input[f];
    row[f / panel * batch_ * panel + f % panel] = input[f];
  }
}

const float* WideNetwork::output(int p) const noexcept {
  const Layer& l = layers_.back();
  return l.y.data() + to_size(p) * to_size(l.trained.out) * to_size(kernels_.panel);
}

float* WideNetwork::output_delta(int p) noexcept {
  Layer& l = layers_.back();
  return l.delta.data() + to_size(p) * to_size(l.trained.out) * to_size(kernels_.panel);
}

void WideNetwork::forward(ThreadPool& pool) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::vector<Piece>& pieces = layers_[i].outputs;
    pool.for_each(static_cast<int>(pieces.size()), [&](int k) { forward(i, pieces[to_size(k)]); });
  }
}

template <class Element>
void WideNetwork::outputs(Layer& l, const Piece& piece, const Element* weights, const Element* x,
                          int k, ProductEnd end) noexcept {
  const TrainedLayer& t = l.trained;
  const long panel = kernels_.panel, out_panel = t.out * panel, in_panel = k * panel;
  ProductOf<Element> q{};
  q.m = piece.rows;
  q.k = k;
  q.panels = piece.panels;
  q.a = weights + long{piece.row} * k;
  q.a_row = k;
  q.a_column = 1;
  q.a_block = panel;
  q.b = x + piece.panel * in_panel;
  q.b_panel = in_panel;
  q.c = l.y.data() + piece.panel * out_panel + piece.row * panel;
  q.c_row = panel;
  q.c_panel = out_panel;
  q.start = ProductStart::row_bias;
  q.bias = t.bias + piece.row;
  q.end = end;
  run(kernels_, q);
}

// y = activation(W x + b)
void WideNetwork::forward(std::size_t i, const Piece& piece) noexcept {
  Layer& l = layers_[i];
  const bool last = i + 1 == layers_.size();
  const ProductEnd end = last ? ProductEnd::none : ProductEnd::relu;
  if (l.pairs) {
    outputs(l, piece, l.pairs->weights.data(), l.pairs->x.data(), l.pairs->in_pairs, end);
  } else {
    const float* x = i == 0 ? input_.data() : layers_[i - 1].y.data();
    outputs<float>(l, piece, l.trained.weight, x, l.trained.in, end);
  }
  if (!last) hand_on(i, piece);
}

// Gives this piece of the outputs to the next layer in the other forms that its products need.
void WideNetwork::hand_on(std::size_t i, const Piece& piece) noexcept {
  const Layer& l = layers_[i];
  Layer& next = layers_[i + 1];
  const int panel = kernels_.panel;
  for (int p = piece.panel; p < piece.panel + piece.panels; ++p) {
    const float* y = l.y.data() + long{p} * l.trained.out * panel;
    if (next.pairs) {
      next.pairs->take_inputs(y, piece.row, piece.rows, p);
      continue;
    }
    const int samples = std::min(panel, batch_ - p * panel);
    for (int f = piece.row; f < piece.row + piece.rows; ++f) {
      const float* from = y + long{f} * panel;
      float* to = next.x.data() + (long{f / panel} * batch_ + long{p} * panel) * panel + f % panel;
      for (int s = 0; s < samples; ++s) to[long{s} * panel] = from[s];
    }
  }
}

double WideNetwork::backward(ThreadPool& pool, float weight_decay) {
  double squares = 0.0;
  if (layers_.back().pairs) {
    pool.for_each(
        panels_, [&](int p) { take_delta(layers_.back(), {0, layers_.back().trained.out, p, 1}); });
  }
  for (std::size_t i = layers_.size(); i-- > 0;) {
    Layer& l = layers_[i];
    const int below = i == 0 ? 0 : static_cast<int>(l.inputs.size());
    const int gradients = static_cast<int>(l.gradients.size());
    pool.for_each(gradients + below, [&](int k) {  // the larger pieces first
      if (k < gradients) {
        gradient(i, l.gradients[to_size(k)], weight_decay);
      } else {
        delta_below(i, l.inputs[to_size(k - gradients)]);
      }
    });
    for (const double s : l.squares) squares += s;
  }
  return std::sqrt(squares);
}

template <class Element>
void WideNetwork::inputs_delta(std::size_t i, const Piece& piece, const Element* weights,
                               const Element* delta, int k) noexcept {
  Layer& below = layers_[i - 1];
  const int in = layers_[i].trained.in;
  const long panel = kernels_.panel, out_panel = k * panel, in_panel = in * panel;
  const long at = piece.panel * in_panel + piece.row * panel;
  ProductOf<Element> q{};
  q.m = piece.rows;
  q.k = k;
  q.panels = piece.panels;
  q.a = weights + piece.row;
  q.a_row = 1;
  q.a_column = in;
  q.a_block = in * panel;
  q.b = delta + piece.panel * out_panel;
  q.b_panel = out_panel;
  q.c = below.delta.data() + at;
  q.c_row = panel;
  q.c_panel = in_panel;
  q.start = ProductStart::zero;
  q.end = ProductEnd::relu_slope;
  q.y = below.y.data() + at;
  run(kernels_, q);
}

// delta of the layer below = (Wᵀ delta) · slope of its activation
void WideNetwork::delta_below(std::size_t i, const Piece& piece) noexcept {
  const Layer& l = layers_[i];
  if (l.pairs) {
    inputs_delta(i, piece, l.pairs->weights_back.data(), l.pairs->delta.data(), l.pairs->out_pairs);
  } else {
    inputs_delta<float>(i, piece, l.trained.weight, l.delta.data(), l.trained.out);
  }
  take_delta(layers_[i - 1], piece);
}

void WideNetwork::take_delta(Layer& l, const Piece& piece) noexcept {
  if (!l.pairs) return;
  for (int p = piece.panel; p < piece.panel + piece.panels; ++p) {
    l.pairs->take_delta(l.delta.data() + long{p} * l.trained.out * kernels_.panel, piece.row,
                        piece.rows, p);
  }
}

template <class Element>
void WideNetwork::delta_times_inputs(Layer& l, const Piece& piece, const Element* delta, long a_row,
                                     long a_block, const Element* x, int k) noexcept {
  const long panel = kernels_.panel, row = static_cast<long>(l.gradient_row);
  ProductOf<Element> q{};
  q.m = piece.rows;
  q.k = k;
  q.panels = piece.panels;
  q.a = delta + piece.row * a_row;
  q.a_row = a_row;
  q.a_column = 1;
  q.a_block = a_block;
  q.b = x;
  q.b_panel = k * panel;
  q.c = l.gradient.data() + piece.row * row;
  q.c_row = row;
  q.c_panel = panel;
  q.start = ProductStart::zero;
  q.end = ProductEnd::none;
  run(kernels_, q);
}

// The gradient in the weights and biases of some outputs, delta xᵀ, and the weight decay.
void WideNetwork::gradient(std::size_t i, const Piece& piece, float weight_decay) noexcept {
  Layer& l = layers_[i];
  const TrainedLayer& t = l.trained;
  const long panel = kernels_.panel, row = static_cast<long>(l.gradient_row);
  float* gradient = l.gradient.data() + piece.row * row;
  if (l.pairs) {
    delta_times_inputs(l, piece, l.pairs->delta_rows.data(), l.pairs->delta_row, panel,
                       l.pairs->x_columns.data(), l.pairs->batch_pairs);
  } else {
    delta_times_inputs<float>(l, piece, l.delta.data(), panel, t.out * panel, l.x.data(), batch_);
  }
  for (int r = 0; r < piece.rows; ++r) {
    const int o = piece.row + r;
    const float* from = gradient + r * row;
    l.squares[to_size(o)] =
        kernels_.decay(from + t.in, t.bias + o, 1, weight_decay, l.bias_gradient.data() + o) +
        kernels_.decay(from, t.weight + long{o} * t.in, t.in, weight_decay,
                       gradient + long{r} * t.in);
  }
}

void WideNetwork::adam(ThreadPool& pool, const AdamStep& step) {
  pool.for_each(static_cast<int>(adam_pieces_.size()),
                [&](int k) { adam(adam_layer_[to_size(k)], adam_pieces_[to_size(k)], step); });
}

void WideNetwork::adam(std::size_t i, const Piece& piece, const AdamStep& step) noexcept {
  Layer& l = layers_[i];
  const TrainedLayer& t = l.trained;
  const long at = long{piece.row} * t.in;
  kernels_.adam(l.gradient.data() + piece.row * static_cast<long>(l.gradient_row),
                piece.rows * t.in, step, t.first.weight + at, t.second.weight + at, t.weight + at);
  kernels_.adam(l.bias_gradient.data() + piece.row, piece.rows, step, t.first.bias + piece.row,
                t.second.bias + piece.row, t.bias + piece.row);
  if (l.pairs) l.pairs->take_weights(t.weight, piece.row, piece.rows);
}

}  // namespace admrl
