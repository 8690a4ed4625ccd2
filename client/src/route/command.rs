//! `jeju route`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use jeju_attestation::hex_bytes::HexBytes;
use serde_json::{Value, json};

use super::at::is_id;
use super::error::shown;
use super::inside::InsideArguments;
use super::signed::ask;
use super::{RouteAt, RouteError, connect};
use crate::rental::command::{Printed, rental_id};
use crate::via::GatewayApi;
use crate::wallet::AccountArguments;

/// Ways through gateways to rentals.
#[derive(Debug, Subcommand)]
pub enum RouteCommand {
    /// Have a gateway make a way to a rental of the account
    Create(Box<CreateArguments>),
    /// List the account's routes at a gateway
    List(Box<GatewayArguments>),
    /// Let a gateway go on into a container: after the node restarted, or the rental was extended
    Renew(Box<RenewArguments>),
    /// Delete a route, which ends its sessions
    Delete(Box<DeleteArguments>),
    /// Carry standard input and output through a route, as ProxyCommand of OpenSSH
    Connect(ConnectArguments),
}

/// The gateway, and the account that asks.
#[derive(Debug, Args)]
pub struct GatewayArguments {
    /// API of the gateway, as https://host[:port]; is not trusted
    #[arg(long, value_name = "URL")]
    gateway: GatewayApi,
    /// The account.
    #[command(flatten)]
    account: AccountArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `jeju route create`.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// Rental's id
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    /// From where it leads
    #[arg(long = "type", value_name = "TYPE", default_value = "ssh")]
    kind: Kind,
    /// Port of the container that it leads to, which the gateway can read then [default: the rental's SSH server]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    inside: InsideArguments,
    #[command(flatten)]
    at: GatewayArguments,
}

/// Options of `jeju route renew`.
#[derive(Debug, Args)]
pub struct RenewArguments {
    /// Route's id
    #[arg(value_name = "ROUTE", value_parser = route_id)]
    route: String,
    /// Rental's id
    #[arg(value_name = "RENTAL", value_parser = rental_id)]
    rental: HexBytes<32>,
    /// Port of the container that it leads to: what a gateway says of it is not believed
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    inside: InsideArguments,
    #[command(flatten)]
    at: GatewayArguments,
}

/// From where a route leads to a rental.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The gateway's SSH proxy
    Ssh,
    /// A port of the gateway's of its own
    Tcp,
    /// A host name below the gateway's domain: for browsers, with --port; else by CONNECT
    Http,
}

/// Options of `jeju route delete`.
#[derive(Debug, Args)]
pub struct DeleteArguments {
    /// Route's id
    #[arg(value_name = "ROUTE", value_parser = route_id)]
    route: String,
    #[command(flatten)]
    at: GatewayArguments,
}

/// Options of `jeju route connect`.
#[derive(Debug, Args)]
pub struct ConnectArguments {
    /// Route, as ROUTE@HOST[:PORT]
    #[arg(value_name = "ROUTE@GATEWAY")]
    route: RouteAt,
}

impl RouteCommand {
    /// Whether failures are to be printed as JSON too.
    pub fn json(&self) -> bool {
        match self {
            RouteCommand::Create(arguments) => arguments.at.json,
            RouteCommand::List(arguments) => arguments.json,
            RouteCommand::Renew(arguments) => arguments.at.json,
            RouteCommand::Delete(arguments) => arguments.at.json,
            RouteCommand::Connect(_) => false,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`RouteError`].
    pub async fn run(&self) -> Result<Printed, RouteError> {
        match self {
            RouteCommand::Create(arguments) => arguments.run().await,
            RouteCommand::List(arguments) => {
                let listed = arguments.ask(Method::GET, "/v1/routes", None).await?;
                let routes = listed["routes"].as_array().into_iter().flatten();
                Ok(Printed::report(routes.map(line).collect(), listed.clone()))
            }
            RouteCommand::Renew(arguments) => arguments.run().await,
            RouteCommand::Delete(arguments) => {
                let path = format!("/v1/routes/{}", arguments.route);
                let answer = arguments.at.ask(Method::DELETE, &path, None).await?;
                Ok(Printed::report(
                    vec![format!("deleted  {}", arguments.route)],
                    answer,
                ))
            }
            RouteCommand::Connect(arguments) => {
                let (input, output) = standard().map_err(|source| RouteError::Broken {
                    gateway: "standard input and output".to_owned(),
                    source,
                })?;
                connect::connect(&arguments.route, input, output).await?;
                Ok(Printed::Written)
            }
        }
    }
}

impl CreateArguments {
    async fn run(&self) -> Result<Printed, RouteError> {
        let kind = match self.kind {
            Kind::Ssh => "ssh",
            Kind::Tcp => "tcp",
            Kind::Http => "http",
        };
        let mut body = json!({ "rentalId": self.rental.to_string(), "type": kind });
        let mut lines = Vec::new();
        match self.port {
            Some(_) if matches!(self.kind, Kind::Ssh) => {
                return Err(RouteError::Usage("--port is for routes of type http or tcp"));
            }
            Some(port) => {
                let entry = self.inside.entry(&self.at.gateway, &self.rental, port).await?;
                body["port"] = port.into();
                merge(&mut body, entry.body());
                lines = entry.lines;
            }
            None if !self.inside.is_empty() => {
                return Err(RouteError::Usage(
                    "--ssh-key, --node and --hours are for routes to a port of the container: --port",
                ));
            }
            None => {}
        }
        let made = self.at.ask(Method::POST, "/v1/routes", Some(&body)).await?;
        lines.push(line(&made));
        lines.extend(place(&made));
        if let (Kind::Ssh, Some(route)) = (self.kind, route_at(&made)) {
            lines.push(format!(
                "use      jeju ssh {} --route {route} --node …",
                self.rental
            ));
        }
        Ok(Printed::report(lines, made))
    }
}

impl RenewArguments {
    async fn run(&self) -> Result<Printed, RouteError> {
        let gateway = &self.at.gateway;
        let entry = self.inside.entry(gateway, &self.rental, self.port).await?;
        let path = format!("/v1/routes/{}", self.route);
        let made = self.at.ask(Method::PUT, &path, Some(&entry.body())).await?;
        let mut lines = entry.lines;
        lines.push(line(&made));
        lines.extend(place(&made));
        Ok(Printed::report(lines, made))
    }
}

impl GatewayArguments {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, RouteError> {
        ask(&self.gateway, &self.account.read()?, method, path, body).await
    }
}

/// Standard input and output without buffers: what is SSH's has no lines.
fn standard() -> io::Result<(File, File)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok((input.into(), output.into()))
}

/// The route of an answer, if it is one.
fn route_at(answer: &Value) -> Option<RouteAt> {
    let (id, host) = (answer["routeId"].as_str()?, answer["proxyHost"].as_str()?);
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    format!("{id}@{host}:{}", answer["proxyPort"].as_u64()?)
        .parse()
        .ok()
}

/// Where a route into a container is used.
fn place(route: &Value) -> Option<String> {
    route["port"].as_u64()?;
    let (host, port) = (route["proxyHost"].as_str()?, route["proxyPort"].as_u64()?);
    let scheme = match route["type"].as_str()? {
        "http" => "http://",
        _ => "",
    };
    Some(format!("use      {scheme}{}:{port}", shown(host)))
}

fn merge(body: &mut Value, more: Value) {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
}

/// A gateway's words, as a terminal may be given them.
fn line(route: &Value) -> String {
    let word = |member: &str| match &route[member] {
        Value::String(text) => shown(text),
        Value::Null => "-".to_owned(),
        other => shown(&other.to_string()),
    };
    format!(
        "route    {}  {}  {}:{}  until {} ms",
        word("routeId"),
        word("type"),
        word("proxyHost"),
        word("proxyPort"),
        word("expiresAt")
    )
}

fn route_id(text: &str) -> Result<String, String> {
    match is_id(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("8-4-4-4-12 hexadecimal digits are expected".to_owned()),
    }
}
