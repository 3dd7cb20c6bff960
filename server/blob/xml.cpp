#include "server/blob/xml.hpp"

#include <pugixml.hpp>

#include <sstream>

namespace linarite::blob {
namespace {

std::string print(const pugi::xml_document& document) {
    std::ostringstream out;
    document.save(out, "", pugi::format_raw, pugi::encoding_utf8);
    return out.str();
}

void declare(pugi::xml_document& document) {
    auto declaration = document.append_child(pugi::node_declaration);
    declaration.append_attribute("version") = "1.0";
    declaration.append_attribute("encoding") = "utf-8";
}

void add(pugi::xml_node& to, const char* name, const std::string& text) {
    auto node = to.append_child(name);
    if (!text.empty()) {
        node.text().set(text.c_str());
    }
}

void add_item(pugi::xml_node& blobs, const Listing::Item& item) {
    auto blob = blobs.append_child("Blob");
    add(blob, "Name", item.name);
    auto properties = blob.append_child("Properties");
    add(properties, "Creation-Time", item.modified);
    add(properties, "Last-Modified", item.modified);
    add(properties, "Etag", item.etag);
    add(properties, "Content-Length", std::to_string(item.size));
    add(properties, "Content-Type", "application/octet-stream");
    for (const char* empty : {"Content-Encoding", "Content-Language", "Content-MD5", "Cache-Control"}) {
        add(properties, empty, "");
    }
    add(properties, "BlobType", "BlockBlob");
    add(properties, "LeaseStatus", "unlocked");
    add(properties, "LeaseState", "available");
    add(properties, "ServerEncrypted", "true");
}

} // namespace

std::string print_error(const std::string& code, const std::string& message) {
    pugi::xml_document document;
    declare(document);
    auto error = document.append_child("Error");
    add(error, "Code", code);
    add(error, "Message", message);
    return print(document);
}

std::string print(const Listing& listing) {
    pugi::xml_document document;
    declare(document);
    auto root = document.append_child("EnumerationResults");
    root.append_attribute("ServiceEndpoint") = listing.endpoint.c_str();
    root.append_attribute("ContainerName") = listing.container.c_str();
    add(root, "Prefix", listing.prefix);
    add(root, "Marker", listing.marker);
    if (listing.max_results > 0) {
        add(root, "MaxResults", std::to_string(listing.max_results));
    }
    if (!listing.delimiter.empty()) {
        add(root, "Delimiter", listing.delimiter);
    }
    auto blobs = root.append_child("Blobs");
    for (const Listing::Item& item : listing.items) {
        add_item(blobs, item);
    }
    for (const std::string& folder : listing.folders) {
        auto node = blobs.append_child("BlobPrefix");
        add(node, "Name", folder);
    }
    add(root, "NextMarker", listing.next_marker);
    return print(document);
}

Result<std::vector<std::string>> parse_block_list(const std::string& document) {
    pugi::xml_document parsed;
    if (!parsed.load_buffer(document.data(), document.size()) || !parsed.child("BlockList")) {
        return Error(Errc::invalid_argument, "the body is not a BlockList");
    }
    std::vector<std::string> ids;
    for (const pugi::xml_node& node : parsed.child("BlockList").children()) {
        const std::string_view kind = node.name();
        if (kind != "Latest" && kind != "Uncommitted") {
            return Error(Errc::invalid_argument, "blocks of a committed blob are not kept, send them again");
        }
        ids.emplace_back(node.text().get());
    }
    return ids;
}

} // namespace linarite::blob
