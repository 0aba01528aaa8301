package rocketmq.testkit;
public final class Golden { static Object write(String dir) { return null; } }
