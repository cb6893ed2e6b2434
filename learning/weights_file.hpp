#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "datasets/image_set.hpp"
#include "learning/run_file.hpp"
#include "sim/network.hpp"

namespace orthospike {

/// All that is needed to use a network after its training, in the host's memory.
struct TrainedNetwork {
  static constexpr std::size_t normalisation_rows = 4;

  struct Neurons {
    std::string name;
    std::size_t size = 0;
    std::string model;             ///< config name of the neuron model, or "input", "bias" or "readout"
    std::vector<float> threshold;  ///< [1] where it is trained, else empty
    /// [normalisation_rows × channels] gains, offsets, means and variances where its currents are normalised, else empty
    std::vector<float> normalisation = {};

    bool operator==(const Neurons&) const = default;
  };
  struct Weights {
    std::string name;                    ///< of the projection
    std::size_t source = 0, target = 0;  ///< places in `populations`
    std::size_t presynaptic = 0;         ///< rows: neurons of the source, or values of a patch
    std::vector<float> values;           ///< [presynaptic × neurons of the target, or its channels]

    std::size_t outputs() const { return values.size() / presynaptic; }

    bool operator==(const Weights&) const = default;
  };

  std::filesystem::path path;         ///< of the file that it was read from, for messages
  std::string version, git_revision;  ///< of the program that trained it
  std::string config;                 ///< of the run, as run.h5 has it
  MapShape shape;                     ///< of images that it takes
  float mean = 0, deviation = 1;      ///< of pixels from 0 to 1; it sees (pixel - mean) / deviation
  std::vector<TaskDescription> tasks;
  std::size_t tasks_trained = 0;  ///< the first of them
  std::vector<Neurons> populations;
  std::vector<Weights> projections;

  std::size_t logits() const { return populations.back().size; }
  bool operator==(const TrainedNetwork&) const = default;
};

/// The rows of the subspace that a protection found for a projection, which are the weights from its presynaptic neurons to
/// its lateral neurons.
struct LateralWeights {
  std::string projection;
  std::vector<float> values;  ///< [lateral neurons × presynaptic], not empty
};

/// Takes over populations and weights of a network whose spiking neurons are of the model of that config name.
void store(const Network& network, const std::string& model, TrainedNetwork& to);
/// The other way. The network must have no difference.
void load(const TrainedNetwork& from, Network& network);
/// How populations and projections differ from those of a network, as words: "there … and here …"; empty where they do not.
std::string difference(const TrainedNetwork& stored, const Network& network, const std::string& model);

inline constexpr const char* weights_name = "weights.h5";
/// Of the network after task k, counted from 1.
std::string weights_name_after(std::size_t task);

/// Writes `folder`/`name` (layout: weights_file.md), where a file of that name stays whole until the new one is.
/// `lateral` is for those who look at it: read_weights leaves it out. Throws EnvironmentError.
void write_weights(const TrainedNetwork& network, const std::filesystem::path& folder,
                   const std::string& name, const std::vector<LateralWeights>& lateral = {});
/// Removes from a run folder what these functions write there.
void remove_weights(const std::filesystem::path& folder);

/// The weights file at a place that a user names: the file itself, or that beside a run file or in a run folder. Throws
/// EnvironmentError where there is none.
std::filesystem::path weights_file_at(const std::filesystem::path& place);
/// Throws EnvironmentError with the file, the object, what is expected and what is there instead, where the file is not a
/// whole one, shapes do not fit together or a number is not finite.
TrainedNetwork read_weights(const std::filesystem::path& path);

}  // namespace orthospike
