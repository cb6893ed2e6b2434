#pragma once

namespace orthospike {

/// What stands for the derivative of a spike by its margin m, with slope a:
///   sigmoid       a σ(a m) (1 - σ(a m))
///   arctan        a/2 / (1 + (π/2 · a m)²)
///   fast_sigmoid  1 / (1 + a |m|)²           (Zenke & Ganguli, 2018)
///   triangle      a max(0, 1 - a |m|)
enum class Surrogate { sigmoid, arctan, fast_sigmoid, triangle };

}  // namespace orthospike
