-- Sets what an app wants of base image updates.
-- KEYS: APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, UPDATES
-- ARGV: app, choice, version_prefix, late_prefix
--   choice: 'on', 'off' or 'pinned'.
-- Returns {'set', pinned digest or ''}, {'missing', ''} or {'nothing_active', ''}.
local APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, UPDATES = unpack(KEYS)
local app, choice, version_prefix, late_prefix = unpack(ARGV)
-- include: supersede.lua
local last, active, images = unpack(redis.call('HMGET', APP, 'last', 'active', 'base_images'))
if not last then return {'missing', ''} end
local image, digest = '', ''
if choice == 'pinned' then
  if active then
    image, digest = unpack(
      redis.call('HMGET', version_prefix .. app .. ':' .. active, 'base_reference', 'base_digest'))
  end
  if not image or image == '' or not digest then return {'nothing_active', ''} end
  redis.call('HSET', APP, 'pinned_image', image, 'pinned_digest', digest)
else
  redis.call('HDEL', APP, 'pinned_image', 'pinned_digest')
end
redis.call('HSET', APP, 'updates', choice)

-- What was begun before is bound by it, too.
if choice ~= 'on' then
  local code = choice == 'off' and 'updates_turned_off' or 'pinned_elsewhere'
  local _, refused = supersede_unfinished(app, reason_of(code, {app = app}), function(version)
    return redis.call('HGET', version, 'automatic') == '1'
  end)
  if refused then return refused end
end
for _, number in ipairs(choice == 'pinned' and redis.call('ZRANGE', UNFINISHED, 0, -1) or {}) do
  local version = version_prefix .. app .. ':' .. number
  local state, reference = unpack(redis.call('HMGET', version, 'state', 'base_reference'))
  if reference == image and (state == 'queued' or state == 'retrying') then
    redis.call('HSET', version, 'wanted_digest', digest)
  end
end
-- what it missed meanwhile
for missed in string.gmatch(choice == 'on' and images or '', '%S+') do
  redis.call('ZINCRBY', late_prefix .. missed, 1, app)
  redis.call('ZADD', UPDATES, ms(now_ms()), missed)
end
return {'set', digest}
