package belay;

import io.grpc.ManagedChannel;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.mosn.layotto.v1.RuntimeClientBuilder;
import io.mosn.layotto.v1.grpc.GrpcRuntimeClient;
import spec.proto.runtime.v1.RuntimeGrpc;
import spec.sdk.runtime.v1.client.RuntimeClient;

import java.util.concurrent.ThreadLocalRandom;

/** One scenario's client, and the generated stubs of the same SDK for what the client has no method for. */
public final class Session implements AutoCloseable {

    /** Different in every run, so that what an earlier run left behind is never met. */
    private static final String RUN =
        "java" + Long.toString(System.currentTimeMillis(), 36) + Integer.toString(ThreadLocalRandom.current().nextInt(1 << 24), 36);

    private final Environment       environment;
    private final Checks            checks;
    private final GrpcRuntimeClient client;
    private final String            scenario;

    Session(Environment environment, Checks checks) {
        this.environment = environment;
        this.checks = checks;
        this.scenario = checks.scenario();
        this.client = connect();
    }

    public Environment environment() {
        return environment;
    }

    public Checks checks() {
        return checks;
    }

    public RuntimeClient client() {
        return client;
    }

    /** The generated stub that waits. */
    public RuntimeGrpc.RuntimeBlockingStub stub() {
        return client.getStubManager().getBlockingStub();
    }

    /** The generated stub for streams. */
    public RuntimeGrpc.RuntimeStub asyncStub() {
        return client.getStubManager().getAsyncStub();
    }

    /** What marks everything of this run. */
    public String run() {
        return RUN;
    }

    /** A name that nobody has used before. */
    public String unique(String name) {
        return RUN + "-" + scenario + "-" + name;
    }

    /** An SDK client of this session's server. */
    private GrpcRuntimeClient connect() {
        if (environment.socketPath() == null) {
            return new RuntimeClientBuilder().withIp(environment.host()).withPort(environment.port()).buildGrpc();
        }
        return new RuntimeClientBuilder().buildGrpcWithExistingChannel(overSocket(environment.socketPath()).build());
    }

    /** This version of the SDK has no option for a Unix socket; it takes a channel that is made like this. */
    public static NettyChannelBuilder overSocket(String path) {
        return NettyChannelBuilder.forAddress(new DomainSocketAddress(path))
            .eventLoopGroup(new EpollEventLoopGroup(1))
            .channelType(EpollDomainSocketChannel.class)
            .usePlaintext()
            // gRPC Java would send the path as :authority, which is none by RFC 3986.
            .overrideAuthority("localhost");
    }

    @Override
    public void close() {
        ManagedChannel[] channels = client.getStubManager().getChannels();
        client.shutdown();
        for (ManagedChannel channel : channels) {
            channel.shutdownNow();
        }
    }
}
