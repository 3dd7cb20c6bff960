#include "proto/agent_protocol.hpp"

#include "proto/message_parts.hpp"

namespace linarite::proto {

namespace {

constexpr std::int64_t most_ms = std::int64_t{30} * 24 * 3600 * 1000;

/// Looked at before anything else: what another version has in its messages is not ours to judge.
Result<void> check_version(const Json& document) {
    const auto found = document.is_object() ? document.find("protocol") : document.end();
    if (!document.is_object() || found == document.end() || !found->is_number_integer()) {
        return Error(Errc::invalid_argument, "this is no message of the agent protocol: it has no version");
    }
    if (*found != agent_protocol_version) {
        return Error(Errc::invalid_argument, fmt::format("agent protocol {} is not spoken here; this is version {}: "
                                                         "update the older program",
                                                         print_json(*found), agent_protocol_version));
    }
    return {};
}

} // namespace

int read_int(JsonReader& in, std::string_view key, std::int64_t lowest, std::int64_t highest, int otherwise) {
    return static_cast<int>(in.integer(key, lowest, highest, otherwise));
}

Millis read_ms(JsonReader& in, std::string_view key, Millis otherwise) {
    return Millis(in.integer(key, 0, most_ms, otherwise.count()));
}

std::string read_name(JsonReader& in, std::string_view key, std::string_view what) {
    std::string name = in.required_text(key);
    if (name.empty()) {
        return name;
    }
    if (const auto parsed = parse_name(name, what); !parsed) {
        in.fault(key, parsed.error().detail());
    }
    return name;
}

Json print(const SyncRequest& message) {
    return {{"protocol", message.protocol},     {"node", message.node.str()}, {"incarnation", message.incarnation},
            {"boot_id", message.boot_id},       {"host_id", message.host_id}, {"shared_dir", message.shared_dir},
            {"address", message.address},       {"version", message.version}, {"resources", print(message.resources)},
            {"runs", print_list(message.runs)}, {"seen", message.seen},       {"wait_ms", message.wait.count()}};
}

Result<SyncRequest> parse_sync_request(const Json& document) {
    if (const auto spoken = check_version(document); !spoken) {
        return spoken.error();
    }
    return parse_whole(document, "sync request", [](JsonReader& in) {
        SyncRequest message;
        message.protocol = read_int(in, "protocol", 0, most_int, agent_protocol_version);
        message.node = NodeName(read_name(in, "node", "node name"));
        message.incarnation = in.unsigned_integer("incarnation", 0);
        message.boot_id = in.text("boot_id");
        message.host_id = in.text("host_id");
        message.shared_dir = in.text("shared_dir");
        message.address = in.text("address");
        message.version = in.text("version");
        message.resources = read_resources(in.object("resources"));
        message.runs = read_list(in, "runs", read_report);
        message.seen = in.unsigned_integer("seen", 0);
        message.wait = read_ms(in, "wait_ms", message.wait);
        return message;
    });
}

Json print(const SyncAnswer& message) {
    return {{"protocol", message.protocol},
            {"version", message.version},
            {"lease_ms", message.lease.count()},
            {"unchanged", message.unchanged},
            {"runs", print_list(message.runs)}};
}

Result<SyncAnswer> parse_sync_answer(const Json& document) {
    if (const auto spoken = check_version(document); !spoken) {
        return spoken.error();
    }
    return parse_whole(document, "sync answer", [](JsonReader& in) {
        SyncAnswer message;
        message.protocol = read_int(in, "protocol", 0, most_int, agent_protocol_version);
        message.version = in.unsigned_integer("version", 0);
        message.lease = read_ms(in, "lease_ms", message.lease);
        message.unchanged = in.boolean("unchanged", false);
        message.runs = read_list(in, "runs", read_desired);
        return message;
    });
}

Json print(const JoinRequest& message) {
    return {{"protocol", message.protocol}, {"node", message.node}, {"token", message.token}};
}

Result<JoinRequest> parse_join_request(const Json& document) {
    if (const auto spoken = check_version(document); !spoken) {
        return spoken.error();
    }
    return parse_whole(document, "join request", [](JsonReader& in) {
        JoinRequest message;
        message.protocol = read_int(in, "protocol", 0, most_int, agent_protocol_version);
        message.node = read_name(in, "node", "node name");
        message.token = in.required_text("token");
        return message;
    });
}

Json print(const JoinAnswer& message) {
    return {{"node", message.node}, {"secret", message.secret}};
}

Result<JoinAnswer> parse_join_answer(const Json& document) {
    return parse_whole(document, "join answer", [](JsonReader& in) {
        JoinAnswer message;
        message.node = read_name(in, "node", "node name");
        message.secret = in.required_text("secret");
        return message;
    });
}

} // namespace linarite::proto
