#include "server/service/computes.hpp"

#include "server/service/run_rows.hpp"

#include <boost/algorithm/string/case_conv.hpp>
#include <boost/algorithm/string/predicate.hpp>

#include <algorithm>

namespace linarite::service {
namespace {

constexpr std::string_view size_label = "vm_size=";

std::string upper(std::string_view text) {
    return boost::algorithm::to_upper_copy(std::string(text), std::locale::classic());
}

std::string size_of(const std::vector<std::string>& labels) {
    for (const std::string& label : labels) {
        if (label.starts_with(size_label)) {
            return upper(std::string_view(label).substr(size_label.size()));
        }
    }
    return "";
}

// A name for machines that nobody named, in the manner of the names that clients know.
VmSize machine(const store::NodeRow& row) {
    constexpr std::uint64_t gigabyte = std::uint64_t{1} << 30U;
    VmSize size{size_of(row.labels), row.cores, row.memory_bytes, row.gpus};
    if (size.name.empty()) {
        const std::uint64_t memory = std::max<std::uint64_t>((row.memory_bytes + gigabyte / 2) / gigabyte, 1);
        size.name = "LOCAL_" + std::to_string(row.cores) + "CORES_" + std::to_string(memory) + "GB" +
                    (row.gpus > 0 ? "_" + std::to_string(row.gpus) + "GPUS" : "");
    }
    return size;
}

bool larger(const VmSize& a, const VmSize& b) {
    return std::tie(a.gpus, a.cores, a.memory_bytes) > std::tie(b.gpus, b.cores, b.memory_bytes);
}

std::string state_of(const core::NodeView& node) {
    if (!node.up) {
        return "unusable";
    }
    return node.drained ? "leaving" : node.runs.empty() ? "idle" : "running";
}

Error unknown(const std::string& name) {
    return {Errc::not_found, "compute target '" + name + "' not found"};
}

void count_node(const std::string& state, Compute& pool) {
    pool.idle += state == "idle" ? 1 : 0;
    pool.running += state == "running" ? 1 : 0;
    pool.leaving += state == "leaving" ? 1 : 0;
    pool.unusable += state == "unusable" ? 1 : 0;
}

void keep_largest(const std::string& target, VmSize size, std::map<std::string, VmSize>& sizes) {
    const auto [largest, is_first] = sizes.try_emplace(target, size);
    if (!is_first && larger(size, largest->second)) {
        largest->second = std::move(size);
    }
}

} // namespace

Computes::Computes(store::Store& store, Scheduler& scheduler, const Clock& clock)
    : store_(store), scheduler_(scheduler), clock_(clock) {}

asio::awaitable<Result<void>> Computes::restore() {
    auto pools = co_await store_.read([](store::Tables& tables) { return tables.list_compute_targets(); });
    if (!pools) {
        co_return pools.error();
    }
    const auto nodes = co_await store_.read([](store::Tables& tables) { return tables.list_nodes(); });
    if (!nodes) {
        co_return nodes.error();
    }
    for (store::ComputeTargetRow& row : *pools) {
        made_.emplace(row.name, std::move(row));
    }
    for (const store::NodeRow& row : *nodes) {
        note_node(row.name, row.labels);
    }
    co_return Result<void>{};
}

bool Computes::sized_nodes() const {
    return std::ranges::any_of(sizes_, [](const auto& entry) { return !entry.second.empty(); });
}

std::set<std::string> Computes::targets_of(const std::vector<std::string>& labels, int gpus) const {
    std::set<std::string> targets = service::targets_of(labels, gpus);
    const bool by_size = sized_nodes();
    const std::string size = size_of(labels);
    for (const auto& [name, pool] : made_) {
        if (!by_size || upper(pool.vm_size) == size) {
            targets.insert(name);
        }
    }
    return targets;
}

bool Computes::note_node(const NodeName& name, const std::vector<std::string>& labels) {
    const bool before = sized_nodes();
    sizes_[name] = size_of(labels);
    return sized_nodes() != before && !made_.empty();
}

bool Computes::forget_node(const NodeName& name) {
    const bool before = sized_nodes();
    sizes_.erase(name);
    return sized_nodes() != before && !made_.empty();
}

// Every pool with what its nodes do, by name.
std::vector<Compute> Computes::survey(const std::vector<store::NodeRow>& rows) const {
    std::map<std::string, Compute> pools;
    std::map<std::string, VmSize> sizes;
    for (const char* name : {"cpu-cluster", "local"}) {
        pools[name].name = name;
    }
    for (const auto& [name, row] : made_) {
        pools[name] = Compute{name, row.vm_size, false, row.document, row.created};
    }
    std::map<NodeName, const store::NodeRow*> known;
    for (const store::NodeRow& row : rows) {
        known.emplace(row.name, &row);
    }
    for (const core::NodeView& node : scheduler_.reactor().nodes()) {
        const auto row = known.find(node.spec.name);
        const std::string state = state_of(node);
        // a node that is down has the pools that it will have when it comes back
        const std::set<std::string> targets =
            row == known.end() ? node.spec.targets : targets_of(row->second->labels, row->second->gpus);
        for (const std::string& target : targets) {
            Compute& pool = pools[target];
            pool.name = target;
            count_node(state, pool);
            if (row != known.end()) {
                keep_largest(target, machine(*row->second), sizes);
            }
        }
    }
    std::vector<Compute> out;
    for (auto& [name, pool] : pools) {
        if (pool.vm_size.empty()) {
            pool.vm_size = sizes.contains(name) ? sizes.at(name).name : "LOCAL";
        }
        out.push_back(std::move(pool));
    }
    return out;
}

asio::awaitable<Result<std::vector<Compute>>> Computes::list() {
    const auto rows = co_await store_.read([](store::Tables& tables) { return tables.list_nodes(); });
    if (!rows) {
        co_return rows.error();
    }
    co_return survey(*rows);
}

asio::awaitable<Result<Compute>> Computes::find(std::string name) {
    const auto all = co_await list();
    if (!all) {
        co_return all.error();
    }
    std::string there;
    for (const Compute& compute : *all) {
        if (boost::algorithm::iequals(compute.name, name, std::locale::classic())) {
            co_return compute;
        }
        there += (there.empty() ? "" : ", ") + compute.name;
    }
    co_return Error(Errc::not_found, "compute target '" + name + "' not found; there are: " + there);
}

asio::awaitable<Result<std::vector<VmSize>>> Computes::sizes() {
    const auto rows = co_await store_.read([](store::Tables& tables) { return tables.list_nodes(); });
    if (!rows) {
        co_return rows.error();
    }
    std::map<std::string, VmSize> sizes;
    VmSize largest;
    for (const store::NodeRow& row : *rows) {
        const VmSize size = machine(row);
        sizes.emplace(size.name, size);
        if (larger(size, largest)) {
            largest = size;
        }
    }
    for (const auto& [name, row] : made_) { // where no node says its size, these are machines as they are
        sizes.emplace(upper(row.vm_size), VmSize{row.vm_size, largest.cores, largest.memory_bytes, largest.gpus});
    }
    std::vector<VmSize> out;
    out.reserve(sizes.size());
    for (auto& [name, size] : sizes) {
        out.push_back(std::move(size));
    }
    co_return out;
}

asio::awaitable<Result<std::vector<ComputeNode>>> Computes::nodes_of(std::string name) {
    const auto compute = co_await find(std::move(name));
    if (!compute) {
        co_return compute.error();
    }
    const auto rows = co_await store_.read([](store::Tables& tables) { return tables.list_nodes(); });
    if (!rows) {
        co_return rows.error();
    }
    std::vector<ComputeNode> out;
    for (const core::NodeView& node : scheduler_.reactor().nodes()) {
        const auto row = std::ranges::find(*rows, node.spec.name, &store::NodeRow::name);
        if (row != rows->end() && targets_of(row->labels, row->gpus).contains(compute->name)) {
            out.push_back({node.spec.name, row->address, state_of(node), node.runs});
        }
    }
    co_return out;
}

asio::awaitable<Result<Compute>> Computes::put(store::ComputeTargetRow row) {
    if (const auto checked = parse_name(row.name, "compute target"); !checked) {
        co_return Error({Fault{"/name", checked.error().detail()}});
    }
    if (auto known = co_await find(row.name); known) {
        row.name = known->name;
        if (known->built_in) {
            co_return known;
        }
    }
    row.created = clock_.now();
    auto put = [row](store::Tables& tables) { return tables.put_compute_target(row); };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        co_return stored.error();
    }
    const std::string name = row.name;
    if (const auto known = made_.find(name); known != made_.end()) {
        row.created = known->second.created;
    }
    made_[name] = std::move(row);
    co_await scheduler_.retarget();
    co_return co_await find(name);
}

Result<void> Computes::check_unused(const std::string& name) const {
    for (const core::RunView& run : scheduler_.reactor().active_runs(clock_.now())) {
        if (run.spec.target == name) {
            return Error(Errc::conflict, "compute target '" + name + "' has run '" + run.spec.id.str() +
                                             "', which has not ended: cancel it or wait for its end first");
        }
    }
    return {};
}

asio::awaitable<Result<void>> Computes::remove(std::string name) {
    const auto known = co_await find(name);
    if (!known) {
        co_return unknown(name);
    }
    if (known->built_in) {
        co_return Error(Errc::invalid_argument, "compute target '" + known->name +
                                                    "' is there by itself, as long as it has nodes: it cannot be "
                                                    "deleted");
    }
    if (auto unused = check_unused(known->name); !unused) {
        co_return unused.error();
    }
    // out of the scheduler's sight first, so that no run comes in between
    auto taken = made_.extract(known->name);
    if (taken.empty()) {
        co_return unknown(name);
    }
    co_await scheduler_.retarget();
    auto erase = [name = known->name](store::Tables& tables) { return tables.remove_compute_target(name); };
    auto removed = co_await store_.write(std::move(erase));
    if (!removed) {
        made_.insert(std::move(taken));
        co_await scheduler_.retarget();
    }
    co_return removed;
}

} // namespace linarite::service
