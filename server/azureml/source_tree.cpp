#include "server/azureml/source_tree.hpp"

#include "common/files.hpp"
#include "server/service/blob_links.hpp"

namespace linarite::azureml {
namespace {

constexpr const char* no_snapshot = "00000000-0000-0000-0000-000000000000";
constexpr int deepest = 32; // as in parse_relative_path

std::string text_in(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Error bad(const std::string& what) {
    return {Errc::invalid_argument, what};
}

/// Adds the files below the node, whose path is `path` ("" or ending with '/').
Result<void> collect(const Json& node, const std::string& path, int depth, // NOLINT(misc-no-recursion): bounded
                     std::vector<std::string>& into) {
    const auto children = node.find("children");
    if (children == node.end() || children->is_null()) {
        return {};
    }
    if (!children->is_object() || depth > deepest) {
        return bad("the children of '" + path + "' are not a tree of at most 32 levels");
    }
    for (const auto& [name, child] : children->items()) {
        std::string whole = path;
        whole.append(name);
        if (!child.is_object() || name.find('/') != std::string::npos) {
            return bad("'" + whole + "' is not a node of a tree");
        }
        if (text_in(child, "type") == "Directory") {
            if (auto below = collect(child, whole.append("/"), depth + 1, into); !below) {
                return below;
            }
            continue;
        }
        auto checked = parse_relative_path(path + name, "file");
        if (!checked) {
            return checked.error();
        }
        into.push_back(std::move(*checked));
    }
    return {};
}

/// The id in the link that we gave out for the file.
std::string upload_in(const std::string& link) {
    const std::string start = service::upload_blob_path("");
    const std::size_t at = link.find(start);
    if (at == std::string::npos) {
        return "";
    }
    const std::string id = link.substr(at + start.size());
    return id.substr(0, id.find('?'));
}

Result<void> read_sent(const Json& body, std::map<std::string, SourceTree::Sent>& into) {
    const auto list = body.find("FileRevisionList");
    if (list == body.end() || !list->is_object() || !list->contains("FileNodes")) {
        return {};
    }
    const Json& nodes = (*list)["FileNodes"];
    for (const Json& node : nodes.is_array() ? nodes : Json::array()) {
        const std::string name = node.is_object() ? text_in(node, "FullName") : "";
        const std::string upload = node.is_object() ? upload_in(text_in(node, "BlobUri")) : "";
        if (name.empty() || upload.empty()) {
            return bad("a node of FileRevisionList has no FullName, or a BlobUri that is none of ours");
        }
        const auto size = node.find("FileSize");
        const bool sized = size != node.end() && size->is_number_integer() && *size >= 0;
        into[name] = {upload, sized ? std::optional(size->get<std::uint64_t>()) : std::nullopt};
    }
    return {};
}

} // namespace

Result<SourceTree> parse_source_tree(const Json& body) {
    const auto root = body.is_object() ? body.find("DirTreeNode") : body.end();
    if (!body.is_object() || root == body.end() || !root->is_object()) {
        return bad("the body must be an object with a DirTreeNode");
    }
    SourceTree tree;
    tree.parent = text_in(body, "ParentSnapshotId");
    tree.parent = tree.parent == no_snapshot ? "" : tree.parent;
    if (auto read = collect(*root, "", 1, tree.files); !read) {
        return read.error();
    }
    if (auto read = read_sent(body, tree.sent); !read) {
        return read.error();
    }
    return tree;
}

Json empty_tree() {
    return Json{{"name", ""},
                {"hash", nullptr},
                {"type", "Directory"},
                {"timestamp", "0001-01-01T00:00:00+00:00"},
                {"sasUrl", nullptr},
                {"absoluteUrl", nullptr},
                {"sizeBytes", 0},
                {"sizeSet", false},
                {"children", Json::object()}};
}

Json print_tree(const proto::Manifest& manifest) {
    Json root = empty_tree();
    for (const proto::SnapshotFile& file : manifest.files) {
        Json* node = &root;
        std::string_view rest = file.path;
        while (!rest.empty()) {
            const std::size_t slash = std::min(rest.find('/'), rest.size());
            const std::string name(rest.substr(0, slash));
            rest.remove_prefix(std::min(slash + 1, rest.size()));
            Json& child = (*node)["children"][name];
            if (child.is_null()) {
                child = empty_tree();
                child["name"] = name;
            }
            node = &child;
        }
        (*node)["type"] = "File";
        (*node)["sizeBytes"] = file.size;
        (*node)["sizeSet"] = true;
    }
    return root;
}

} // namespace linarite::azureml
