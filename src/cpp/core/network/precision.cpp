#include "core/network/precision.hpp"

#include "core/check.hpp"
#include "kernels/dispatch.hpp"

namespace admrl {

Precision precision_named(const std::string& name) {
  if (name == "fp32") return Precision::fp32;
  if (name == "bf16") return Precision::bf16;
  throw InvalidInput("precision: expected 'fp32' or 'bf16', got '" + name + "'");
}

void check_precision(Precision precision) {
  require(precision == Precision::fp32 || kernels().pair_product != nullptr,
          "precision: this CPU has no bfloat16 instructions (kernels: ", kernels().isa,
          "); use fp32");
}

}  // namespace admrl
