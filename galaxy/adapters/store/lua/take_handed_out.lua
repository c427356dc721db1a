-- Takes apps whose new version was asked for long ago: the message is lost, and they are asked for again.
-- KEYS: HANDED_OUT
-- ARGV: after_ms, limit
-- Returns the apps.
local HANDED_OUT = unpack(KEYS)
local after_ms, limit = unpack(ARGV)
local now = now_ms()
local apps = redis.call('ZRANGEBYSCORE', HANDED_OUT, '-inf', ms(now - after_ms), 'LIMIT', 0, limit)
for _, app in ipairs(apps) do redis.call('ZADD', HANDED_OUT, ms(now), app) end
return apps
