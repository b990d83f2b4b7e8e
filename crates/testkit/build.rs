//! Compiles `proto/` where the feature `grpc` asks for it, without a `protoc` to install.

#[cfg(feature = "grpc")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["proto/echo.proto"], ["proto"])?;
    Ok(tonic_prost_build::compile_fds(files)?)
}

#[cfg(not(feature = "grpc"))]
fn main() {}
