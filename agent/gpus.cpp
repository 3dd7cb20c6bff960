#include "agent/gpus.hpp"

#include "agent/environment/interpreters.hpp"
#include "agent/environment/process.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>

namespace linarite::agent {

namespace {

constexpr auto smi_limit = std::chrono::seconds(20); // a driver that wakes up takes some
constexpr int most_gpus = 1'024;

std::vector<std::string> numbered(int count) {
    std::vector<std::string> out;
    out.reserve(static_cast<std::size_t>(count));
    for (int at = 0; at < count; ++at) {
        out.push_back(std::to_string(at));
    }
    return out;
}

bool is_index(const std::string& text) {
    return !text.empty() && text.size() < 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// An index, or the name of a GPU or of a part of one, as NVIDIA's tools print them.
bool is_device(const std::string& text) {
    return is_index(text) || text.starts_with("GPU-") || text.starts_with("MIG-");
}

/// Nothing if it is no number, or too large a one.
std::optional<int> count_in(const std::string& text) {
    int count = 0;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, count);
    const bool good = !text.empty() && at == end && error == std::errc() && count >= 0 && count <= most_gpus;
    return good ? std::optional(count) : std::nullopt;
}

/// The parts of "a, b" without their blanks.
std::vector<std::string> parts_of(const std::string& list) {
    std::vector<std::string> out;
    for (std::size_t from = 0; from < list.size();) {
        const std::size_t end = std::min(list.find(',', from), list.size());
        std::string part = list.substr(from, end - from);
        std::erase_if(part, [](unsigned char c) { return std::isspace(c) != 0; });
        out.push_back(std::move(part));
        from = end + 1;
    }
    return out;
}

/// /dev/nvidia0, /dev/nvidia1, ...: one for each GPU that the driver serves.
int count_device_files() {
    int count = 0;
    std::error_code ec;
    for (const auto& entry : std::filesystem::directory_iterator("/dev", ec)) {
        const std::string name = entry.path().filename().string();
        count += name.starts_with("nvidia") && is_index(name.substr(6)) ? 1 : 0;
    }
    return count;
}

/// What nvidia-smi lists; nothing if it cannot be run or says that there is no driver.
asio::awaitable<Gpus> ask_nvidia_smi() {
    const auto program = find_on_path("nvidia-smi", false);
    if (program.empty()) {
        co_return std::nullopt;
    }
    std::vector<std::string> devices;
    ProcessOrder order;
    order.arguments = {program.string(), "--query-gpu=index,uuid", "--format=csv,noheader"};
    order.variables = own_variables();
    order.limit = smi_limit;
    auto on_line = [&devices](std::string_view line) {
        const auto parts = parts_of(std::string(line));
        if (!parts.empty() && is_index(parts.front())) {
            devices.push_back(parts.front());
        }
    };
    const auto ended = co_await run_process(std::move(order), on_line, CancelToken());
    if (!ended || !ended->ok()) {
        spdlog::warn("nvidia-smi does not answer: cause=\"{}\"",
                     ended ? "exit code " + std::to_string(ended->exit_code) : ended.error().detail());
        co_return std::nullopt;
    }
    co_return devices;
}

/// What CUDA itself makes of its variable: it ends before the first entry that is no device ("-1" hides all).
std::vector<std::string> visible_devices(const std::string& list) {
    std::vector<std::string> out;
    for (std::string& part : parts_of(list)) {
        if (!is_device(part)) {
            break;
        }
        if (std::ranges::find(out, part) == out.end()) {
            out.push_back(std::move(part));
        }
    }
    return out;
}

asio::awaitable<Gpus> look_for_gpus() {
    const auto variables = own_variables();
    if (const auto given = variables.find("CUDA_VISIBLE_DEVICES"); given != variables.end()) {
        co_return visible_devices(given->second);
    }
    Gpus listed = co_await ask_nvidia_smi();
    if (!listed) {
        listed = numbered(count_device_files());
    }
    co_return listed->empty() ? std::nullopt : listed;
}

} // namespace

asio::awaitable<Result<Gpus>> find_gpus(std::string spec) {
    constexpr std::string_view fake = "fake:";
    if (spec == "auto") {
        Gpus found = co_await look_for_gpus();
        co_return found;
    }
    if (spec == "none") {
        co_return Gpus(std::vector<std::string>());
    }
    if (const auto count = spec.starts_with(fake) ? count_in(spec.substr(fake.size())) : std::nullopt) {
        co_return Gpus(numbered(*count));
    }
    auto parts = parts_of(spec);
    if (parts.empty() || !std::ranges::all_of(parts, is_device)) {
        co_return Error(Errc::invalid_argument,
                        "--gpus '" + spec + "': expected auto, none, fake:N or indices such as 0,1");
    }
    if (std::set<std::string>(parts.begin(), parts.end()).size() != parts.size()) {
        co_return Error(Errc::invalid_argument, "--gpus '" + spec + "' names a GPU twice");
    }
    co_return Gpus(std::move(parts));
}

std::vector<std::string> share_of(const std::vector<std::string>& devices, int index, int count) {
    const auto total = static_cast<std::ptrdiff_t>(devices.size());
    return {devices.begin() + total * index / count, devices.begin() + total * (index + 1) / count};
}

GpuSlots::Lease::Lease(std::shared_ptr<State> state, int slot) : state_(std::move(state)), slot_(slot) {
    state_->taken.insert(slot_);
}

GpuSlots::Lease::~Lease() {
    if (state_) {
        state_->taken.erase(slot_);
        state_->freed.notify();
    }
}

std::optional<GpuSlots::Lease> GpuSlots::take() {
    int best = -1;
    std::size_t most = 0;
    for (int slot = 0; slot < slots_; ++slot) {
        const auto devices = of(slot);
        const std::size_t size = devices ? devices->size() : 0;
        if (!state_->taken.contains(slot) && (best < 0 || size > most)) {
            best = slot;
            most = size;
        }
    }
    return best < 0 ? std::nullopt : take(best);
}

std::optional<GpuSlots::Lease> GpuSlots::take(int slot) {
    if (slot < 0 || slot >= slots_ || state_->taken.contains(slot)) {
        return std::nullopt;
    }
    return std::optional<Lease>(std::in_place, state_, slot);
}

Gpus GpuSlots::of(int slot) const {
    return gpus_ ? Gpus(share_of(*gpus_, slot, slots_)) : std::nullopt;
}

} // namespace linarite::agent
