//! Sends commands to Redis directly, for questions that our own client can't ask.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

fn ask(port: u16, command: &[&str]) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server");
    let words: String = command.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    stream.write_all(format!("*{}\r\n{words}", command.len()).as_bytes()).expect("a command");
    let mut answer = BufReader::new(stream);
    let mut first = String::new();
    answer.read_line(&mut first).expect("an answer");
    assert!(!first.starts_with('-'), "{command:?}: {first}");
    (first, answer)
}

/// The numbers in the answer to a command.
pub fn numbers(port: u16, command: &[&str]) -> Vec<u64> {
    let (first, answer) = ask(port, command);
    let count = first.trim().trim_start_matches('*').parse().expect("a list");
    let number = |line: String| line.trim_start_matches(':').parse().expect("a number");
    answer.lines().take(count).map(|line| number(line.expect("a line"))).collect()
}

/// The text in the answer to a command.
pub fn text(port: u16, command: &[&str]) -> String {
    let (first, mut answer) = ask(port, command);
    let mut text = vec![0; first.trim().trim_start_matches('$').parse().expect("a text")];
    answer.read_exact(&mut text).expect("an answer");
    String::from_utf8(text).expect("UTF-8")
}
