#include "core/precision.hpp"

#include "core/error.hpp"
#include "kernels/dispatch.hpp"

namespace admrl {

Precision precision_named(const std::string& name) {
  if (name == "fp32") return Precision::fp32;
  if (name == "bf16") return Precision::bf16;
  throw InvalidInput("precision: expected 'fp32' or 'bf16', got '" + name + "'");
}

void check_precision(Precision precision) {
  if (precision == Precision::bf16 && kernels().pair_product == nullptr) {
    throw InvalidInput("precision: this CPU has no bfloat16 instructions (kernels: " +
                       std::string(kernels().isa) + "); use fp32");
  }
}

}  // namespace admrl
