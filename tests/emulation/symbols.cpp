#include "tests/emulation/symbols.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string_view>

#include "tests/emulation/scheduler.hpp"

namespace orthospike::emulation {

namespace {

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

/// This program's own file.
class ProgramFile {
 public:
  ProgramFile() {
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (file < 0 || fstat(file, &status) != 0) fail("cannot read the symbols of this program");
    bytes_ = static_cast<std::size_t>(status.st_size);
    begin_ = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (begin_ == MAP_FAILED) fail("cannot read the symbols of this program");
  }
  ProgramFile(const ProgramFile&) = delete;
  ProgramFile& operator=(const ProgramFile&) = delete;
  ~ProgramFile() { munmap(begin_, bytes_); }

  template <class T>
  const T* at(std::size_t offset) const {
    return reinterpret_cast<const T*>(static_cast<const char*>(begin_) + offset);
  }

 private:
  void* begin_ = nullptr;
  std::size_t bytes_ = 0;
};

/// How far from its addresses in the file the program was loaded.
std::uintptr_t load_offset() {
  std::uintptr_t offset = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* program, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = program->dlpi_addr;
        return 1;  // the program itself is the first
      },
      &offset);
  return offset;
}

using Visit = std::function<void(std::string_view name, std::uintptr_t address, const Symbol& symbol)>;

void visit_symbols(const Visit& visit) {
  const ProgramFile file;
  const std::uintptr_t offset = load_offset();
  const auto* const header = file.at<Header>(0);
  const auto* const sections = file.at<Section>(header->e_shoff);
  bool found = false;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    const Section& section = sections[i];
    if (section.sh_type != SHT_SYMTAB) continue;
    found = true;
    const char* const names = file.at<char>(sections[section.sh_link].sh_offset);
    const auto* const symbols = file.at<Symbol>(section.sh_offset);
    for (std::size_t s = 0; s < section.sh_size / sizeof(Symbol); ++s)
      visit(names + symbols[s].st_name, offset + symbols[s].st_value, symbols[s]);
  }
  if (!found)
    fail("this program has no symbol table, by which __shared__ variables are found: do not strip it");
}

std::string without(std::string text, std::string_view part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at))
    text.erase(at, part.size());
  return text;
}

}  // namespace

const std::vector<std::span<std::byte>>& shared_variables() {
  static const std::vector<std::span<std::byte>> variables = [] {
    std::vector<std::span<std::byte>> all;
    visit_symbols([&](std::string_view name, std::uintptr_t address, const Symbol& symbol) {
      // Variables of functions begin so; the sanitizer has symbols of other names for them.
      if (!name.starts_with("_ZZ") || name.find("B9emushared") == std::string_view::npos) return;
      if (ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT) return;
      all.emplace_back(reinterpret_cast<std::byte*>(address), symbol.st_size);
    });
    return all;
  }();
  return variables;
}

std::string function_name(const void* address) {
  std::string name = "at an unknown address";
  visit_symbols([&](std::string_view symbol_name, std::uintptr_t at, const Symbol& symbol) {
    if (at == reinterpret_cast<std::uintptr_t>(address) && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC)
      name = symbol_name;
  });
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  if (readable == nullptr) return name;
  name = without(without(readable.get(), "orthospike::"), "(anonymous namespace)::");
  name = name.substr(0, name.find('('));
  if (name.starts_with("void ")) name.erase(0, 5);  // a template's return type is part of its name
  return name;
}

}  // namespace orthospike::emulation
