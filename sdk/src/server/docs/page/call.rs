//! One path on the page: what it does, an example, the line that sends it, what comes back.

use super::super::example;
use super::super::facts::{Facts, Offer};
use super::super::html::Html;
use super::super::operation::{Kind, Operation};

pub(super) fn write(html: &mut Html, it: &Operation, facts: &Facts, base: &str) {
    let offer = it.model.and_then(|at| facts.models.get(at));
    let path = concrete(it, offer);
    html.raw("<details class=\"op\"");
    // What changes the server is not one click away.
    if it.kind != Kind::Change || it.model.is_none() && it.request.is_some() {
        html.within(" data-method=\"", it.method, "\"").within(" data-path=\"", &path, "\"");
    }
    // The first thing that anybody looks for is there at once.
    html.raw(if it.model == Some(0) && !it.versioned && it.path.ends_with(":predict") {
        " open"
    } else {
        ""
    });
    html.within(" id=\"", &it.id, "\"><summary>");
    html.raw(if it.method == "get" {
        "<b class=\"verb get\">GET</b>"
    } else {
        "<b class=\"verb post\">POST</b>"
    });
    html.raw("<code>");
    for part in it.path.split_inclusive('/') {
        html.text(part).raw("<wbr>");
    }
    html.raw("</code>").within("<span class=\"what\">", it.summary, "</span>");
    html.raw("</summary><div class=\"in\">");
    if !it.detail.is_empty() {
        html.within("<p>", it.detail, "</p>");
    }
    bodies(html, it);
    html.raw("<h4>With curl</h4>");
    html.within("<pre>", &curl(it, base, &path), "</pre>");
    if it.kind == Kind::BinaryCall {
        binary(html, offer, base, &path);
    }
    html.raw("<h4>Answer</h4>");
    html.within("<pre>", it.answer.example.as_ref().map_or(it.answer.form, |it| it.text()), "</pre>");
    html.raw("<h4>Statuses</h4><p class=\"codes\"><a href=\"#status-200\">200</a>");
    for code in it.codes {
        let status = code.http().to_string();
        html.within("<a href=\"#status-", &status, "\">").within("", &status, "</a>");
    }
    html.raw("</p></div></details>");
}

fn bodies(html: &mut Html, it: &Operation) {
    let Some(request) = &it.request else { return };
    if request.examples.is_empty() {
        return;
    }
    html.raw("<h4>Body</h4>");
    for (_, example) in &request.examples {
        html.within("<pre class=\"body\">", example.text(), "</pre>");
    }
}

/// The path with a version in place of `{version}`.
fn concrete(it: &Operation, offer: Option<&Offer>) -> String {
    match offer.and_then(|it| it.versions.first()).filter(|_| it.versioned) {
        Some(version) => it.path.replace("{version}", &super::operation::segment(version)),
        None => it.path.clone(),
    }
}

fn curl(it: &Operation, base: &str, path: &str) -> String {
    let url = format!("{base}{path}");
    match it.request.as_ref().and_then(|it| it.examples.first()) {
        Some((_, body)) => format!("curl -s -d {} {url}", quoted(body.text())),
        None if it.method == "get" => format!("curl -s {url}"),
        None => format!("curl -s -X POST {url}"),
    }
}

/// The same with raw tensors, where the model takes numbers.
fn binary(html: &mut Html, offer: Option<&Offer>, base: &str, path: &str) {
    let Some((json, bytes)) = offer.and_then(|it| example::binary(it.signature.as_ref()?)) else { return };
    let (json, length) = (quoted(json.text()), json.text().len());
    html.raw("<h4>With raw tensors behind the JSON</h4>");
    let line = format!(
        "{{ printf '%s' {json}; head -c {bytes} /dev/zero; }} | curl -s --data-binary @- \
         -H 'content-type: application/octet-stream' -H 'inference-header-content-length: {length}' {base}{path}"
    );
    html.within("<pre>", &line, "</pre>");
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
