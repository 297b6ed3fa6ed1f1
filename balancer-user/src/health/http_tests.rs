use tokio::io::AsyncWriteExt;

use super::*;
use crate::health::testing::{Server, refusing_address, unanswered_listener};

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_millis(200);
const ASK: Ask<'static> = Ask { host: None, path: "/health", expect: &[200], drain_on: &[] };

async fn seen_of(answer: &'static [u8]) -> String {
    let server = Server::answering(answer).await;
    check(server.address, &Way::Direct, ASK, SHORT).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_expected_status_is_good() {
    let server = Server::answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    check(server.address, &Way::Direct, Ask { expect: &[200, 204], ..ASK }, SECOND).await.unwrap();
}

#[tokio::test]
async fn a_status_that_asks_for_a_drain_is_neither_good_nor_a_failure() {
    let server = Server::answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let ask = Ask { drain_on: &[429, 503], ..ASK };
    assert_eq!(check(server.address, &Way::Direct, ask, SECOND).await.unwrap(), Answer::Drain(503));
}

#[tokio::test]
async fn another_status_is_named_with_the_expected() {
    let seen = seen_of(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(seen, "status 503, expected 200");
}

#[tokio::test]
async fn an_informational_answer_is_not_the_answer() {
    let server = Server::answering(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
    check(server.address, &Way::Direct, ASK, SECOND).await.unwrap();
}

#[tokio::test]
async fn the_request_is_a_get_with_host_and_path() {
    let mut server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    check(server.address, &Way::Direct, Ask { host: Some("app.example"), ..ASK }, SECOND).await.unwrap();
    let head = server.requests.recv().await.unwrap();
    let lines: Vec<_> = head.lines().collect();
    assert_eq!(lines[0], "GET /health HTTP/1.1");
    assert!(lines.contains(&"host: app.example"), "{head}");
    assert!(lines.contains(&"connection: close"), "{head}");
}

#[tokio::test]
async fn without_a_host_the_header_is_the_address() {
    let mut server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    check(server.address, &Way::Direct, ASK, SECOND).await.unwrap();
    let head = server.requests.recv().await.unwrap();
    assert!(head.contains(&format!("host: {}\r\n", server.address)), "{head}");
}

#[test]
fn the_address_in_a_host_header_is_bracketed_and_without_port_80() {
    let words =
        [("10.0.0.1:80", "10.0.0.1"), ("[2001:db8::1]:80", "[2001:db8::1]"), ("[::1]:81", "[::1]:81")];
    for (address, word) in words {
        assert_eq!(authority(address.parse().unwrap()), word);
    }
}

#[tokio::test]
async fn a_slow_body_does_not_delay_a_good_status() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nonly this").await;
    let started = Instant::now();
    check(server.address, &Way::Direct, ASK, SECOND).await.unwrap();
    assert!(started.elapsed() < SECOND / 2, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn the_connection_ends_with_the_check() {
    for answer in [&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"[..], b""] {
        let mut server = Server::answering(answer).await;
        let _verdict = check(server.address, &Way::Direct, ASK, SHORT).await;
        time::timeout(SECOND, server.closed.recv()).await.expect("the server sees the end").unwrap();
    }
}

#[tokio::test]
async fn a_hanging_server_times_out_in_time() {
    let started = Instant::now();
    assert_eq!(seen_of(b"").await, "timed out after 200ms while waiting for the answer");
    assert!(started.elapsed() < SHORT * 3, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_dripping_head_cannot_stretch_the_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let drip = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for byte in b"HTTP/1.1 200 OK\r\nx: y\r\n".iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            time::sleep(SHORT / 10).await;
        }
    };
    let started = Instant::now();
    tokio::select! {
        () = drip => panic!("the check ended too late"),
        verdict = check(address, &Way::Direct, ASK, SHORT) => assert!(verdict.is_err()),
    }
    assert!(started.elapsed() < SHORT * 3, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_silent_port_times_out_while_connecting() {
    let (_full, address) = unanswered_listener();
    let error = check(address, &Way::Direct, ASK, SHORT).await.unwrap_err();
    assert_eq!(error.to_string(), "timed out after 200ms while connecting");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let error = check(refusing_address(), &Way::Direct, ASK, SECOND).await.unwrap_err();
    assert_eq!(error.to_string(), "connection refused");
}

#[tokio::test]
async fn what_is_not_http_is_said_to_be_so() {
    let seen = seen_of(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert!(seen.starts_with("the answer is not HTTP/1.1: "), "{seen}");
}

#[tokio::test]
async fn a_server_that_greets_first_is_said_to_do_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let greet = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.ok();
    };
    let (verdict, ()) = tokio::join!(check(address, &Way::Direct, ASK, SECOND), greet);
    // Whether the greeting or the request is first on the wire is the scheduler's choice.
    assert!(matches!(verdict, Err(CheckError::Unasked | CheckError::NotHttp(_))), "{verdict:?}");
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_said_to_be_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let close = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Read first: an unread request would turn the close into a reset.
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
    };
    let (verdict, ()) = tokio::join!(check(address, &Way::Direct, ASK, SECOND), close);
    assert_eq!(verdict.unwrap_err().to_string(), "connection closed before the answer");
}

#[tokio::test]
async fn an_endless_head_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let flood = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok();
        while stream.write_all(b"x: 0123456789012345678901234567890123456789\r\n").await.is_ok() {}
    };
    let (verdict, ()) = tokio::join!(check(address, &Way::Direct, ASK, SECOND * 5), flood);
    assert!(matches!(verdict, Err(CheckError::NotHttp(_))), "{verdict:?}");
}
