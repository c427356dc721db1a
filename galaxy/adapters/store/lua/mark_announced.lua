-- An app's log has these announcements now. KEYS 1: what it had to tell, 2: apps that have something to tell.
-- ARGV 1: app, 2...: ids of the announcements.
redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
-- The stream stays, empty: its ids must go on rising, whatever the clock does.
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end
