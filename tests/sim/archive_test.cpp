#include "sim/archive.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernels/error.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

enum class Colour { red, green };

using State = std::function<void(Archive&)>;

/// A file that holds what `saved` names.
std::filesystem::path saved_file(const TemporaryFolder& folder, Backend& backend, const State& saved) {
  const std::filesystem::path path = folder.path() / "state.h5";
  Hdf5File file = Hdf5File::create(path);
  StateWriter writer(backend, file);
  CHECK_FALSE(writer.loads());
  saved(writer);
  file.close();
  return path;
}

void load(const std::filesystem::path& path, Backend& backend, const State& loaded) {
  const Hdf5File file = Hdf5File::open(path);
  StateReader reader(backend, file);
  CHECK(reader.loads());
  loaded(reader);
  reader.finish();
}

/// What is said where this is loaded from a file of that, without the name of the file, with which it begins.
std::string refusal(const State& saved, const State& loaded) {
  const auto backend = make_backend("reference", 1);
  const TemporaryFolder folder;
  const std::filesystem::path path = saved_file(folder, *backend, saved);
  try {
    load(path, *backend, loaded);
    return "";
  } catch (const EnvironmentError& error) {
    const std::string sentence = error.what(), beginning = path.string() + ": ";
    REQUIRE(sentence.starts_with(beginning));
    return sentence.substr(beginning.size());
  }
}

/// A member of this type and name.
template <class T>
State member(const std::string& name, T value = {}) {
  return [name, value](Archive& archive) mutable { archive(name, value); };
}

struct Leaf {
  float weight = 0;
  void state(Archive& archive) { archive("weight", weight); }
};

struct Tree {
  Leaf left, right;
  std::vector<std::unique_ptr<Leaf>> others;
  std::uint32_t count = 0;
  void state(Archive& archive) {
    archive("left", left);
    archive("right", right);
    archive("other", others);
    archive("count", count);
    archive.check(count < 10, "fewer than ten were expected");
  }
};

Tree a_tree(float first) {
  Tree tree{.left = {first}, .right = {first + 1}, .others = {}, .count = 2};
  for (std::uint32_t i = 0; i < tree.count; ++i)
    tree.others.push_back(std::make_unique<Leaf>(Leaf{first + 2 + static_cast<float>(i)}));
  return tree;
}

struct Members {
  float single = 0;
  double twice = 0;
  bool flag = false;
  std::uint8_t byte = 0;
  std::uint32_t word = 0;
  std::size_t size = 0;
  Colour colour = Colour::red;
  std::string text, none = "?";
  std::vector<float> floats = std::vector<float>(3);
  std::vector<double> doubles = std::vector<double>(2);
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(2);
  std::vector<std::uint32_t> words = std::vector<std::uint32_t>(2);
  std::vector<std::uint64_t> sizes = std::vector<std::uint64_t>(1);
  std::vector<double> grows, empty = {1, 2};

  void state(Archive& archive) {
    archive("single", single);
    archive("twice", twice);
    archive("flag", flag);
    archive("byte", byte);
    archive("word", word);
    archive("size", size);
    archive("colour", colour);
    archive("text", text);
    archive("none", none);
    archive("floats", floats);
    archive("doubles", doubles);
    archive("bytes", bytes);
    archive("words", words);
    archive("sizes", sizes);
    archive.resizable("grows", grows);
    archive.resizable("empty", empty);
  }
  bool operator==(const Members&) const = default;
};

}  // namespace

TEST_CASE("members of every kind come back as they were saved", "[archive]") {
  const auto backend = make_backend("reference", 1);
  Members saved{.single = 0.1F,
                .twice = -1e300,
                .flag = true,
                .byte = 255,
                .word = ~std::uint32_t{0},
                .size = ~std::size_t{0},
                .colour = Colour::green,
                .text = "line\nä",
                .none = "",
                .floats = {1, -0.0F, 1e-45F},
                .doubles = {0.1, std::numeric_limits<double>::infinity()},
                .bytes = {0, 1},
                .words = {7, 8},
                .sizes = {9},
                .grows = {1, 2, 3},
                .empty = {}};
  const Members before = saved;
  const TemporaryFolder folder;
  const auto path = saved_file(folder, *backend, [&](Archive& archive) { saved.state(archive); });
  CHECK(saved == before);
  Members loaded;
  load(path, *backend, [&](Archive& archive) { loaded.state(archive); });
  CHECK(loaded == before);
  CHECK(std::signbit(loaded.floats[1]));
}

TEST_CASE("parts of parts have their members in groups", "[archive]") {
  const auto backend = make_backend("reference", 1);
  const TemporaryFolder folder;
  Tree saved = a_tree(1), loaded = a_tree(-10);
  loaded.count = 0;
  const auto path = saved_file(folder, *backend, [&](Archive& archive) { archive("tree", saved); });
  CHECK(Hdf5File::open(path).numeric_objects("/") ==
        std::vector<std::string>{"/state/tree/count", "/state/tree/left/weight", "/state/tree/other0/weight",
                                 "/state/tree/other1/weight", "/state/tree/right/weight"});
  load(path, *backend, [&](Archive& archive) { archive("tree", loaded); });
  CHECK(loaded.left.weight == 1);
  CHECK(loaded.right.weight == 2);
  CHECK(loaded.others[0]->weight == 3);
  CHECK(loaded.others[1]->weight == 4);
  CHECK(loaded.count == 2);
}

TEST_CASE("arrays of each back end are saved and loaded", "[archive]") {
  const std::vector<float> floats = random_values(1000, 1);
  const std::vector<std::uint32_t> words = {3, 1, 2};
  on_each_backend([&](Backend& backend) {
    const TemporaryFolder folder;
    Array<float> array = uploaded(backend, floats);
    Array<std::uint32_t> grows = uploaded(backend, words);
    Array<float> nothing = backend.allocate<float>(0);
    const auto path = saved_file(folder, backend, [&](Archive& archive) {
      archive("array", array);
      archive("part", array.view().subview(10, 5));
      archive.resizable("grows", grows);
      archive.resizable("nothing", nothing);
    });
    CHECK(backend.download(std::as_const(array).view()) == floats);

    Array<float> other = uploaded(backend, random_values(floats.size(), 2));
    Array<float> parts = uploaded(backend, std::vector<float>(7, -1));
    Array<std::uint32_t> grown = backend.allocate<std::uint32_t>(0);
    Array<float> shrunk = backend.allocate<float>(5);
    load(path, backend, [&](Archive& archive) {
      archive("array", other);
      archive("part", parts.view().subview(1, 5));
      archive.resizable("grows", grown);
      archive.resizable("nothing", shrunk);
    });
    CHECK(backend.download(std::as_const(other).view()) == floats);
    CHECK(backend.download(std::as_const(parts).view()) ==
          std::vector<float>{-1, floats[10], floats[11], floats[12], floats[13], floats[14], -1});
    CHECK(backend.download(std::as_const(grown).view()) == words);
    CHECK(shrunk.size() == 0);
  });
}

TEST_CASE("members that are not those that were saved are named", "[archive]") {
  const std::vector<float> floats(3);
  CHECK(refusal(member("a", floats), member("a", floats)).empty());
  CHECK(refusal(member("a", floats), member("a", std::vector<double>(3))) ==
        "/state/a has numbers of another type than expected");
  CHECK(refusal(member("a", 1.0F), member("a", std::size_t{1})) ==
        "/state/a has numbers of another type than expected");
  CHECK(refusal(member("a", floats), member("a", std::vector<float>(4))) ==
        "/state/a has 3 numbers, expected 4");
  CHECK(refusal(member("a", std::vector<double>(2)), member("a", 1.0)) ==
        "/state/a has 2 numbers, expected 1");
  CHECK(refusal(member("a", floats), member("b", floats)) == "/state/b is not there");
  const State both = [](Archive& archive) {
    float one = 0, other = 0;
    archive("a", one);
    archive("b", other);
  };
  CHECK(refusal(both, member("a", 1.0F)) == "nothing reads /state/b");
  CHECK(refusal(member("a", 1.0F), [](Archive& archive) {
          float value = 0;
          archive("a", value);
          archive("a", value);
        }) == "/state/a is not there");
}

TEST_CASE("what does not fit together is said with the part that it is in", "[archive]") {
  Tree saved = a_tree(1), loaded = a_tree(1), other = a_tree(1);
  const auto part = [](Tree& tree) { return [&](Archive& archive) { archive("tree", tree); }; };
  other.others.pop_back();
  CHECK(refusal(part(saved), part(other)) == "nothing reads /state/tree/other1/weight");
  CHECK(refusal(part(other), part(loaded)) == "/state/tree/other1/weight is not there");
  saved.count = 10;
  const auto backend = make_backend("reference", 1);
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(saved_file(folder, *backend, part(saved)),
                    (folder.path() / "state.h5").string() + ": /state/tree/: fewer than ten were expected");
}

TEST_CASE("what learns is not saved where it is not finite", "[archive]") {
  const auto backend = make_backend("reference", 1);
  for (const float value : {not_a_number, std::numeric_limits<float>::infinity()}) {
    const TemporaryFolder folder;
    CHECK_THROWS_WITH(saved_file(folder, *backend, member("a", std::vector<float>{1, value})),
                      (folder.path() / "state.h5").string() + ": /state/a is not finite and not saved");
  }
}

}  // namespace orthospike::testing
