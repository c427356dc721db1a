-- Apps whose new version was asked for long ago: the message is lost, and they are asked for again.
-- KEYS 1: handed out. ARGV 1: how long ago (ms), 2: limit. Returns the apps.
local now = now_ms()
local apps = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms(now - ARGV[1]), 'LIMIT', 0, ARGV[2])
for _, app in ipairs(apps) do redis.call('ZADD', KEYS[1], ms(now), app) end
return apps
