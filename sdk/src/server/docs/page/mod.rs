//! The page at `/docs`: one file without anything from elsewhere, which reads well without its script. The script adds a
//! button that sends the example.

mod call;

use http::{HeaderMap, header};
use weir_proto::{Code, Signature, TensorSpec};

use super::super::grpc;
use super::facts::{Facts, Offer};
use super::html::Html;
use super::operation::{self, Group, Operation};
use super::{example, shared};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What the page may do: run the one script and the one style that are in it, and ask this server. The hashes are those of
/// `script.js` and `style.css`; a test compares them.
pub(super) const POLICY: &str = "default-src 'none'; connect-src 'self'; \
    style-src 'sha256-p9Y7gSVvHw/ODefGgsmUXCOD5uybGA/2WgkM/z4eVMU='; script-src 'sha256-hUlUlU/9bJ1r6q6EcxyFecRAyQmVs7FbgyhEkoehZNc='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How a client that asked for the page reaches this server, such as `http://localhost:8080`.
pub(super) fn base(headers: &HeaderMap) -> String {
    let plain = |it: &&str| {
        let known = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        };
        !it.is_empty() && it.len() <= 255 && it.bytes().all(known)
    };
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok()).filter(plain);
    // A gateway that speaks TLS to clients says so.
    let secure = headers.get("x-forwarded-proto").is_some_and(|it| it == "https");
    format!("{}://{}", if secure { "https" } else { "http" }, host.unwrap_or("localhost:8080"))
}

/// Returns the page.
pub(super) fn write(facts: &Facts, base: &str) -> String {
    let operations = operation::all(facts);
    let mut html = Html::default();
    head(&mut html, facts);
    html.raw("<main>");
    for (at, offer) in facts.models.iter().enumerate() {
        model(&mut html, at, offer, &operations, base, facts);
    }
    away(&mut html, facts);
    html.raw("<h2 id=\"server\">Server</h2>").within("<p class=\"soft\">", Group::Health.detail(), "</p>");
    let own = |it: &&Operation| it.model.is_none();
    operations.iter().filter(own).for_each(|it| call::write(&mut html, it, facts, base));
    grpc_part(&mut html, facts, base);
    statuses(&mut html);
    limits(&mut html, facts);
    html.raw("</main><footer>The same as a document for machines: <a href=\"/openapi.json\">/openapi.json</a>.</footer>");
    html.raw("<script>").raw(SCRIPT).raw("</script></body></html>\n");
    html.into_text()
}

fn head(html: &mut Html, facts: &Facts) {
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.raw("<link rel=\"icon\" href=\"data:,\">");
    html.within("<title>Weir ", facts.component.name(), "</title>");
    html.raw("<style>").raw(STYLE).raw("</style></head><body><header>");
    html.within("<h1>Weir <span>", facts.component.name(), "</span></h1><ul class=\"chips\">");
    html.within("<li class=\"chip\">version ", env!("CARGO_PKG_VERSION"), "</li>");
    let missing = facts.away.iter().filter(|it| it.is_missing()).count();
    if facts.draining {
        html.raw("<li class=\"chip bad\">draining</li>");
    } else if missing > 0 {
        html.within(
            "<li class=\"chip bad\">not ready: ",
            &missing.to_string(),
            " of its models missing</li>",
        );
    } else {
        html.raw("<li class=\"chip good\">ready</li>");
    }
    html.raw("<li class=\"chip\"><a href=\"/openapi.json\">OpenAPI</a></li></ul></header><nav><ul>");
    for (at, offer) in facts.models.iter().enumerate() {
        html.within("<li><a href=\"#model-", &at.to_string(), "\">").within("", &offer.name, "</a></li>");
    }
    if !facts.away.is_empty() {
        html.raw("<li><a href=\"#away\">Not answering</a></li>");
    }
    for (id, name) in [("server", "Server"), ("grpc", "gRPC"), ("statuses", "Statuses"), ("limits", "Limits")]
    {
        html.within("<li><a href=\"#", id, "\">").within("", name, "</a></li>");
    }
    html.raw("</ul></nav>");
}

fn model(html: &mut Html, at: usize, offer: &Offer, all: &[Operation], base: &str, facts: &Facts) {
    html.within("<section><h2 id=\"model-", &at.to_string(), "\">").within("", &offer.name, "</h2>");
    html.raw("<ul class=\"chips\">");
    for version in &offer.versions {
        html.within("<li class=\"chip\">version ", version, "</li>");
    }
    if let Some(signature) = offer.signature.as_ref().filter(|it| !it.platform.is_empty()) {
        html.within("<li class=\"chip\">", &signature.platform, "</li>");
    }
    if offer.explains {
        html.raw("<li class=\"chip\">explains</li>");
    }
    if offer.reshaped {
        html.raw("<li class=\"chip\">behind a transformer</li>");
    }
    html.raw("</ul>");
    match &offer.signature {
        Some(signature) => {
            if offer.reshaped {
                html.raw(
                    "<p class=\"soft\">This is what the model itself takes and gives. A transformer stands before it: what \
                     clients may send, and what they read, is for that to say.</p>",
                );
            }
            let usual = example::default_outputs(signature).len();
            specs(html, "Inputs", &signature.inputs, None);
            if !signature.columns.is_empty() {
                html.raw("<p class=\"soft\">Columns: ");
                for (index, name) in signature.columns.iter().enumerate() {
                    html.raw(if index > 0 { ", " } else { "" }).within("<code>", name, "</code>");
                }
                html.raw("</p>");
            }
            categories(html, signature);
            specs(html, "Outputs", &signature.outputs, Some(usual));
        }
        None => {
            html.within(
                "<p class=\"soft\">This ",
                facts.component.name(),
                " does not know what the model takes and gives.</p>",
            );
        }
    }
    for group in Group::ALL {
        let own: Vec<_> = all.iter().filter(|it| it.model == Some(at) && it.group == group).collect();
        if own.is_empty() {
            continue;
        }
        html.within("<h3>", group.name(), "</h3>").within("<p class=\"soft\">", group.detail(), "</p>");
        let (versioned, plain): (Vec<_>, Vec<_>) = own.into_iter().partition(|it| it.versioned);
        plain.into_iter().for_each(|it| call::write(html, it, facts, base));
        if !versioned.is_empty() {
            html.raw("<details class=\"more\"><summary>The same with a version in the path</summary>");
            versioned.into_iter().for_each(|it| call::write(html, it, facts, base));
            html.raw("</details>");
        }
    }
    html.raw("</section>");
}

/// The names of categories, as many as somebody may want to read.
fn categories(html: &mut Html, signature: &Signature) {
    const SHOWN: usize = 100;
    for (column, categories) in signature.categories.iter().filter(|it| !it.1.are_numbers()) {
        let Some(column) = signature.columns.get(*column) else { continue };
        html.raw("<p class=\"soft\">Texts of ").within("<code>", column, "</code>").raw(": ");
        for (index, name) in categories.names().take(SHOWN).enumerate() {
            html.raw(if index > 0 { ", " } else { "" }).within("<code>", name, "</code>");
        }
        html.raw(if categories.len() > SHOWN { " and more</p>" } else { "</p>" });
    }
}

/// Inputs, or outputs with what is said of them beyond that.
fn specs(html: &mut Html, title: &'static str, specs: &[TensorSpec], usual: Option<usize>) {
    html.within("<h4>", title, "</h4>");
    html.raw("<div class=\"scroll\"><table><thead><tr><th>Name</th><th>Type</th><th>Shape</th>");
    html.raw(if usual.is_some() {
        "<th>Classes</th><th>Given</th></tr></thead><tbody>"
    } else {
        "</tr></thead><tbody>"
    });
    for (at, spec) in specs.iter().enumerate() {
        html.within("<tr><td><code>", &spec.name, "</code></td>").within(
            "<td>",
            spec.datatype.name(),
            "</td>",
        );
        html.within("<td><code>", &shape(spec), "</code></td>");
        if let Some(usual) = usual {
            html.within("<td>", &spec.labels.join(", "), "</td>");
            html.within("<td>", if at < usual { "by default" } else { "when named" }, "</td>");
        }
        html.raw("</tr>");
    }
    html.raw("</tbody></table></div>");
}

fn shape(spec: &TensorSpec) -> String {
    let sizes: Vec<_> =
        spec.shape.iter().map(|&it| if it < 0 { "any".to_owned() } else { it.to_string() }).collect();
    if sizes.is_empty() { "one value".to_owned() } else { sizes.join(" × ") }
}

fn away(html: &mut Html, facts: &Facts) {
    if facts.away.is_empty() {
        return;
    }
    html.raw("<h2 id=\"away\">Not answering</h2><div class=\"scroll\"><table><tbody>");
    for status in &facts.away {
        html.within("<tr><td><code>", &status.name, "</code></td>");
        html.within("<td>", status.state.repository_name(), "</td>").within(
            "<td>",
            &status.reason,
            "</td></tr>",
        );
    }
    html.raw("</tbody></table></div>");
}

fn grpc_part(html: &mut Html, facts: &Facts, base: &str) {
    html.raw("<h2 id=\"grpc\">gRPC</h2><p class=\"soft\">On the same port: ");
    html.raw("<code>inference.GRPCInferenceService</code> of the Open Inference Protocol, with</p><ul class=\"chips\">");
    for method in grpc::METHODS {
        // A component without the verb answers every call of it with UNIMPLEMENTED.
        if method.ends_with("Infer") && !facts.models.iter().any(|it| it.infers) {
            continue;
        }
        html.within("<li class=\"chip\"><code>", method, "</code></li>");
    }
    html.raw("</ul>");
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    let first = facts.models.iter().find(|it| it.infers).and_then(|offer| {
        example::grpc(offer.signature.as_ref()?, &offer.name).map(|it| it.text().to_owned())
    });
    if let Some(body) = first {
        html.raw("<h4>With grpcurl</h4><pre>grpcurl -plaintext -d ");
        html.text(&call::quoted(&body)).raw(" ").text(host);
        html.raw(" inference.GRPCInferenceService/ModelInfer</pre>");
    }
}

fn statuses(html: &mut Html) {
    html.raw("<h2 id=\"statuses\">Statuses</h2><p class=\"soft\">An error is a status and ");
    html.raw("<code>{\"error\": \"&lt;text&gt;\"}</code>. The header <code>x-error-origin</code> names the service it began in.</p>");
    html.raw(
        "<div class=\"scroll\"><table><thead><tr><th>HTTP</th><th>gRPC</th><th>When</th></tr></thead><tbody>",
    );
    html.raw("<tr id=\"status-200\"><td>200</td><td>0</td><td>It is answered.</td></tr>");
    let mut rows: Vec<(u16, Option<i32>, &str)> =
        Code::ALL.iter().map(|&it| (it.http(), Some(it.grpc()), shared::meaning(it))).collect();
    rows.push((405, None, "The path is there, the method is not."));
    rows.push((431, None, shared::HEADERS_TOO_LARGE));
    rows.sort_unstable();
    for (http, grpc, meaning) in rows {
        let http = http.to_string();
        html.within("<tr id=\"status-", &http, "\">").within("<td>", &http, "</td>");
        html.within("<td>", &grpc.map(|it| it.to_string()).unwrap_or_default(), "</td>");
        html.within("<td>", meaning, "</td></tr>");
    }
    html.raw("</tbody></table></div>");
}

fn limits(html: &mut Html, facts: &Facts) {
    let limits = &facts.limits;
    html.raw("<h2 id=\"limits\">Limits</h2><div class=\"scroll\"><table><tbody>");
    for (what, value, beyond) in [
        ("Bytes of a body", limits.max_body_bytes, "413"),
        ("Requests served at once", limits.max_in_flight, "429"),
        ("Depth of lists and objects in JSON", limits.decode.depth, "400"),
        ("Elements of a tensor", limits.decode.elements, "413"),
    ] {
        html.within("<tr><td>", what, "</td>").within("<td>", &grouped(value), "</td>");
        html.within("<td class=\"soft\">beyond it ", beyond, "</td></tr>");
    }
    html.raw("</tbody></table></div><h3>Headers of a request</h3><div class=\"scroll\"><table><tbody>");
    for (name, meaning) in shared::HEADERS {
        html.within("<tr><td><code>", name, "</code></td>").within("<td>", meaning, "</td></tr>");
    }
    html.raw("</tbody></table></div>");
}

/// A number with its thousands apart.
fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_host_that_is_no_host_is_not_repeated() {
        let of = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            base(&headers)
        };
        assert_eq!(of("[::1]:9000"), "http://[::1]:9000");
        for host in ["a;reboot", "$(id)", "a b", ""] {
            assert_eq!(of(host), "http://localhost:8080", "{host}");
        }
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([grouped(7), grouped(1024)], ["7", "1\u{202f}024"]);
    }
}
