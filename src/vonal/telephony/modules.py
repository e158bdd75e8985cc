"""The Asterisk modules Vonal uses, and no other.

Loaded by name (`autoload = no`), because a module that nobody uses prints errors for want of its configuration file,
takes memory, and may listen on a port or answer a request that nobody thought of.
"""

from collections.abc import Collection

MODULES: tuple[str, ...] = (
    # clock, sounds and codecs
    "res_timing_timerfd.so",
    "format_gsm.so",
    "format_pcm.so",
    "format_sln.so",
    "format_wav.so",
    "codec_a_mu.so",
    "codec_alaw.so",
    "codec_g722.so",
    "codec_gsm.so",
    "codec_opus_open_source.so",
    "codec_resample.so",
    "codec_ulaw.so",
    "res_format_attr_opus.so",
    "res_musiconhold.so",
    # configuration
    "res_sorcery_astdb.so",
    "res_sorcery_config.so",
    "res_sorcery_memory.so",
    "pbx_config.so",
    # SIP and media
    "res_crypto.so",
    "res_http_websocket.so",
    "res_pjproject.so",
    "res_pjsip.so",
    "res_pjsip_session.so",
    "res_pjsip_pubsub.so",
    "res_pjsip_outbound_publish.so",
    "res_rtp_asterisk.so",
    "res_srtp.so",
    "chan_pjsip.so",
    "chan_bridge_media.so",
    "res_pjsip_acl.so",
    "res_pjsip_authenticator_digest.so",
    "res_pjsip_caller_id.so",
    "res_pjsip_dialog_info_body_generator.so",
    "res_pjsip_diversion.so",
    "res_pjsip_dlg_options.so",
    "res_pjsip_dtmf_info.so",
    "res_pjsip_empty_info.so",
    "res_pjsip_endpoint_identifier_ip.so",
    "res_pjsip_endpoint_identifier_user.so",
    "res_pjsip_exten_state.so",
    "res_pjsip_header_funcs.so",
    "res_pjsip_logger.so",
    "res_pjsip_nat.so",
    "res_pjsip_outbound_authenticator_digest.so",
    "res_pjsip_outbound_registration.so",
    "res_pjsip_path.so",
    "res_pjsip_pidf_body_generator.so",
    "res_pjsip_refer.so",
    "res_pjsip_registrar.so",
    "res_pjsip_rfc3326.so",
    "res_pjsip_sdp_rtp.so",
    "res_pjsip_transport_websocket.so",
    # bridges
    "bridge_builtin_features.so",
    "bridge_builtin_interval_features.so",
    "bridge_holding.so",
    "bridge_native_rtp.so",
    "bridge_simple.so",
    "bridge_softmix.so",
    # dialplan
    "app_celgenuserevent.so",
    "app_channelredirect.so",
    "app_dial.so",
    "app_directed_pickup.so",
    "app_echo.so",
    "app_exec.so",
    "app_mixmonitor.so",
    "app_playback.so",
    "app_playtones.so",
    "app_record.so",
    "app_senddtmf.so",
    "app_stack.so",
    "app_transfer.so",
    "app_verbose.so",
    "app_while.so",
    "func_callerid.so",
    "func_channel.so",
    "func_cut.so",
    "func_db.so",
    "func_devstate.so",
    "func_dialplan.so",
    "func_extstate.so",
    "func_global.so",
    "func_groupcount.so",
    "func_hangupcause.so",
    "func_logic.so",
    "func_math.so",
    "func_pjsip_aor.so",
    "func_pjsip_contact.so",
    "func_pjsip_endpoint.so",
    "func_strings.so",
    "func_timeout.so",
    "func_uri.so",
    # journal and commands
    "res_cdrel_custom.so",
    "cel_custom.so",
    "res_stasis.so",
    "app_stasis.so",
    "res_stasis_answer.so",
    "res_stasis_device_state.so",
    "res_stasis_playback.so",
    "res_stasis_recording.so",
    "res_stasis_snoop.so",
    "res_websocket_client.so",
    "res_ari.so",
    "res_ari_model.so",
    "res_ari_applications.so",
    "res_ari_asterisk.so",
    "res_ari_bridges.so",
    "res_ari_channels.so",
    "res_ari_device_states.so",
    "res_ari_endpoints.so",
    "res_ari_events.so",
    "res_ari_playbacks.so",
    "res_ari_recordings.so",
    "res_ari_sounds.so",
)

# Asterisk's core looks for these whether they are wanted or not, and prints an error for each that is missing.
BASE_FILES: dict[str, str] = {
    "acl.conf": "",
    "ccss.conf": "[general]\n",
    "cdr.conf": "[general]\nenable = no\n",
    "features.conf": "[general]\n",
    # The tones a caller hears inside an answered call (ITU-T E.180, Europe).
    "indications.conf": (
        "[general]\ncountry = eu\n\n[eu]\ndescription = Europe\nringcadence = 1000,4000\ndial = 425\n"
        "ring = 425/1000,0/4000\nbusy = 425/500,0/500\ncongestion = 425/200,0/200\n"
        "callwaiting = 425/200,0/200,425/200,0/9000\n"
    ),
    "manager.conf": "[general]\nenabled = no\n",
    "musiconhold.conf": "[default]\nmode = files\ndirectory = moh\nsort = random\n",
    "pjproject.conf": "",
    "stasis.conf": "",
    "udptl.conf": "[general]\n",
    "websocket_client.conf": "",
}


def loadable(present: Collection[str], *, music: bool) -> tuple[str, ...]:
    """Those of MODULES that an Asterisk with the module files `present` can load without an error line.

    Asterisk moves code between modules from one version to the next: 20 has no `res_cdrel_custom`, for one.
    `music` says whether there is any music on hold to load.
    """
    return tuple(name for name in MODULES if name in present and (music or name != "res_musiconhold.so"))
