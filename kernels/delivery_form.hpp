#pragma once

namespace orthospike {

/// How spikes reach the next population: along the event lists, through a dense product, or whichever the
/// measured density makes cheaper.
enum class DeliveryForm { automatic, events, dense };

}  // namespace orthospike
