//! Asks for a page over HTTP/1.1 and looks at the status alone, as the kubelet's probes do.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much of an answer is read, in bytes (the kubelet's bound).
pub(super) const ANSWER_MAX: usize = 10 * 1024;
/// How many redirects are followed (that of Go's client, hence of the kubelet).
const REDIRECTS_MAX: usize = 10;

/// Asks for a page. Redirects within the host are followed; one that leads elsewhere is a success by itself.
pub(super) async fn get(
    host: &str,
    port: u16,
    path: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    let (mut port, mut path) = (port, encoded(path));
    for _ in 0..=REDIRECTS_MAX {
        let (status, location) = ask(host, port, &path, headers).await?;
        match location.and_then(|location| redirected(host, port, &path, &location)) {
            Some(next) => (port, path) = next,
            None if (200..400).contains(&status) => return Ok(()),
            None => return Err(format!("HTTP probe failed with statuscode: {status}")),
        }
    }
    Err(format!(
        "Get {:?}: stopped after {REDIRECTS_MAX} redirects",
        url(host, port, &path)
    ))
}

/// Asks once. Returns the status and, of a redirect, where to.
async fn ask(
    host: &str,
    port: u16,
    path: &str,
    headers: &[(String, String)],
) -> Result<(u16, Option<String>), String> {
    let failed = |error: std::io::Error| format!("Get {:?}: {error}", url(host, port, path));
    let mut stream = TcpStream::connect((host, port)).await.map_err(failed)?;
    stream
        .write_all(request(host, port, path, headers).as_bytes())
        .await
        .map_err(failed)?;
    let mut answer = Vec::with_capacity(512);
    let mut chunk = [0; 512];
    loop {
        let read = stream.read(&mut chunk).await.map_err(failed)?;
        answer.extend_from_slice(&chunk[..read]);
        let is_all = read == 0 || answer.len() > ANSWER_MAX;
        match status_code(&answer) {
            Some(status @ (301 | 302 | 303 | 307 | 308)) => {
                let head = head(&answer);
                if is_all || head.is_some() {
                    return Ok((status, location(head.unwrap_or(&answer))));
                }
            }
            Some(status) => return Ok((status, None)),
            None if is_all => {
                let url = url(host, port, path);
                return Err(format!("Get {url:?}: the answer is not HTTP/1"));
            }
            None => {}
        }
    }
}

fn url(host: &str, port: u16, path: &str) -> String {
    format!("http://{}:{port}{path}", bracketed(host))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn request(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> String {
    // A header that holds a line end would be another header; such a value cannot be sent.
    let clean = |text: &str| !text.contains(['\r', '\n']);
    let given = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut text = format!("GET {path} HTTP/1.1\r\n");
    let defaults = [
        ("Host", format!("{}:{port}", bracketed(host))),
        (
            "User-Agent",
            concat!("kube-probe/orch-", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("Accept", "*/*".to_owned()),
    ];
    for (name, value) in &defaults {
        if given(name).is_none() {
            text.extend([name, ": ", value.as_str(), "\r\n"]);
        }
    }
    for (name, value) in headers.iter().filter(|(name, value)| clean(name) && clean(value)) {
        text.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

/// A path and query as they go over the wire: without a fragment, and what may not stand there in percent form
/// (RFC 3986, 2.1). What is in that form already stays.
fn encoded(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The status of an answer whose first line is there.
fn status_code(answer: &[u8]) -> Option<u16> {
    let line = &answer[..answer.iter().position(|byte| *byte == b'\n')?];
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let code = rest.get(..3)?;
    (version.starts_with("HTTP/1.")).then(|| code.parse().ok())?
}

/// The first line and headers, if they are all there.
fn head(answer: &[u8]) -> Option<&[u8]> {
    let ends = |end: &[u8]| answer.windows(end.len()).position(|window| window == end);
    let end = [ends(b"\r\n\r\n"), ends(b"\n\n")].into_iter().flatten().min()?;
    Some(&answer[..end])
}

fn location(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, value) = headers.find(|(name, _)| name.trim().eq_ignore_ascii_case("location"))?;
    Some(value.trim().to_owned()).filter(|location| !location.is_empty())
}

/// Where a redirect leads, as port and path; none if it is not followed: to another host, which the kubelet does
/// not follow either, or to another scheme.
fn redirected(host: &str, port: u16, path: &str, location: &str) -> Option<(u16, String)> {
    let location = encoded(location);
    let absolute = location.strip_prefix("http:").unwrap_or(&location);
    if let Some(rest) = absolute.strip_prefix("//") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (to, port) = host_and_port(authority)?;
        let slash = if rest.starts_with('/') { "" } else { "/" };
        return (to.eq_ignore_ascii_case(host)).then(|| (port, without_dots(&format!("{slash}{rest}"))));
    }
    let first = location.split(['/', '?']).next().unwrap_or_default();
    if first.contains(':') {
        return None;
    }
    let before = path.split('?').next().unwrap_or_default();
    let path = if location.starts_with('/') {
        location
    } else if location.starts_with('?') {
        format!("{before}{location}")
    } else {
        let directory = &before[..before.rfind('/').map_or(0, |at| at + 1)];
        format!("{directory}{location}")
    };
    Some((port, without_dots(&path)))
}

fn host_and_port(authority: &str) -> Option<(&str, u16)> {
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let port = if port.is_empty() { 80 } else { port.parse().ok()? };
    Some((host, port))
}

/// The path without `.` and `..` (RFC 3986, 5.2.4), its query as it is.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with("/.") || path.ends_with("/..") {
        "/"
    } else {
        ""
    };
    let path = format!("/{}{end}", parts.join("/"));
    format!(
        "{}{query}",
        path.replacen("//", "/", usize::from(parts.is_empty()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn the_status_is_in_the_first_line() {
        let cases: [(&[u8], Option<u16>); 4] = [
            (b"HTTP/1.1 204 No Content\r\n", Some(204)),
            (b"HTTP/1.0 500 no\n", Some(500)),
            (b"HTTP/1.1 20", None),
            (b"SSH-2.0-x\r\n", None),
        ];
        for (answer, code) in cases {
            assert_eq!(status_code(answer), code);
        }
    }

    #[test]
    fn given_headers_replace_the_defaults_and_cannot_break_out() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text = request(
            "::1",
            80,
            "/a",
            &[header("host", "shop"), header("X", "a\r\nY: b")],
        );
        assert!(text.starts_with("GET /a HTTP/1.1\r\nUser-Agent"), "{text}");
        assert!(text.contains("host: shop\r\n") && !text.contains("Y: b"));
        assert!(request("::1", 80, "/", &[]).contains("Host: [::1]:80\r\n"));
    }

    #[test]
    fn what_may_not_stand_in_a_path_is_encoded() {
        let cases = [
            ("/healthz?full=1&x=%20", "/healthz?full=1&x=%20"),
            ("/a b", "/a%20b"),
            ("/ü\r\nX: y", "/%C3%BC%0D%0AX:%20y"),
            ("/a#b", "/a"),
            ("/{x}", "/%7Bx%7D"),
        ];
        for (path, expected) in cases {
            assert_eq!(encoded(path), expected);
        }
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let cases = [
            ("/new?b", Some((8080, "/new?b"))),
            ("new", Some((8080, "/a/new"))),
            ("../new/./x", Some((8080, "/new/x"))),
            ("..", Some((8080, "/"))),
            ("?b", Some((8080, "/a/old?b"))),
            ("//shop:81/x", Some((81, "/x"))),
            ("http://SHOP", Some((80, "/"))),
            ("http://shop:8080?x", Some((8080, "/?x"))),
            ("http://user@shop:1/../y z#f", Some((1, "/y%20z"))),
            ("http://other/x", None),
            ("http://shop:x/", None),
            ("https://shop/x", None),
            ("mailto:x", None),
        ];
        for (location, expected) in cases {
            let found = redirected("shop", 8080, "/a/old?q", location);
            let expected = expected.map(|(port, path)| (port, path.to_owned()));
            assert_eq!(found, expected, "{location}");
        }
        let found = redirected("::1", 80, "/", "http://[::1]:81/x");
        assert_eq!(found, Some((81, "/x".to_owned())));
    }

    /// Answers each request with what `answer` makes of its path.
    async fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let _ = stream.write_all(answer(path).as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn pages_are_told_apart() {
        let cases = [
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.1 302 Found\r\n\r\n", None),
            (
                "HTTP/1.1 503 no\r\n\r\n",
                Some("HTTP probe failed with statuscode: 503"),
            ),
            ("hello\r\n", Some("not HTTP/1")),
        ];
        for (answer, error) in cases {
            let port = answering(|_| answer.to_owned()).await;
            match (get("127.0.0.1", port, "/", &[]).await, error) {
                (Ok(()), None) => {}
                (Err(said), Some(part)) => assert!(said.contains(part), "{said}"),
                other => panic!("{answer:?}: {other:?}"),
            }
        }
        let nobody = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let said = get("127.0.0.1", nobody, "/", &[]).await.unwrap_err();
        assert!(said.contains("refused"), "{said}");
    }

    #[tokio::test]
    async fn a_redirect_is_followed_to_its_end() {
        let port = answering(|path| match path {
            "/well" => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            "/sick" => "HTTP/1.1 500 no\r\n\r\n".to_owned(),
            "/away" => "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\n\r\n".to_owned(),
            "/round" => "HTTP/1.1 302 Found\r\nLocation: /round\r\n\r\n".to_owned(),
            other => format!(
                "HTTP/1.1 307 Go\r\nX: y\r\nlocation: {}\r\n\r\n",
                other.strip_prefix("/to").unwrap_or_default()
            ),
        })
        .await;
        let cases = [
            ("/to/well", None),
            ("/to/to/to/well", None),
            ("/to/sick", Some("statuscode: 500")),
            ("/to/away", None),
            ("/round", Some("stopped after 10 redirects")),
        ];
        for (path, error) in cases {
            match (get("127.0.0.1", port, path, &[]).await, error) {
                (Ok(()), None) => {}
                (Err(said), Some(part)) => assert!(said.contains(part), "{said}"),
                other => panic!("{path}: {other:?}"),
            }
        }
    }
}
