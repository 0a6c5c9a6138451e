//! Limits the sizes of the parts of a request. They are in the host's memory until the guest drops them, and a guest
//! may hold thousands of them without sending any: see [`resources`](super::state::resources).

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest as _, Method, Scheme};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;

use super::state::State;

/// The most bytes of all headers of a request, with the overhead of each header (76 bytes). This is twice what most
/// servers accept.
pub(super) const FIELDS: usize = 16 << 10;

/// The most bytes of path and query. Most servers accept this.
const PATH: usize = 8 << 10;

/// The most bytes of each other part. A host's name has at most 253; methods and schemes are words.
const PART: usize = 300;

/// The most bytes of a whole request without its body.
pub(super) const REQUEST: usize = FIELDS + PATH + 3 * PART;

/// The version that wasmtime-wasi-http links. Guests of other versions 0.2 are linked to it too.
const TYPES: &str = "wasi:http/types@0.2.12";

type Request = Resource<HostOutgoingRequest>;
/// The result is an error, as for a text that is not a valid method, path, scheme or host.
type Set = Result<(Result<(), ()>,), wasmtime::Error>;

/// Puts a limit in front of each function that takes a part of a request.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, State>, (request, method): (Request, Method)| -> Set {
            let fits = !matches!(&method, Method::Other(other) if other.len() > PART);
            Ok((if fits { store.data_mut().http().set_method(request, method)? } else { Err(()) },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-scheme",
        |mut store: StoreContextMut<'_, State>, (request, scheme): (Request, Option<Scheme>)| -> Set {
            let fits = !matches!(&scheme, Some(Scheme::Other(other)) if other.len() > PART);
            Ok((if fits { store.data_mut().http().set_scheme(request, scheme)? } else { Err(()) },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, State>, (request, authority): (Request, Option<String>)| -> Set {
            let fits = authority.as_ref().is_none_or(|text| text.len() <= PART);
            Ok((if fits { store.data_mut().http().set_authority(request, authority)? } else { Err(()) },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: StoreContextMut<'_, State>, (request, path): (Request, Option<String>)| -> Set {
            let fits = path.as_ref().is_none_or(|text| text.len() <= PATH);
            Ok((if fits { store.data_mut().http().set_path_with_query(request, path)? } else { Err(()) },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
